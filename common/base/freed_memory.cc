#include "common/base/freed_memory.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>

namespace beamgate {
namespace {

void release(void* block) noexcept {
  if (block == nullptr) return;
  explicit_bzero(block, malloc_usable_size(block));
  free(block);
}

// --- As OpenSSL calls them.

void* allocate(size_t bytes, const char*, int) { return bytes == 0 ? nullptr : malloc(bytes); }

void give_back(void* block, const char*, int) { release(block); }

void* resize(void* block, size_t bytes, const char* file, int line) {
  void* other = allocate(bytes, file, line);
  if (other == nullptr && bytes > 0) return nullptr;
  if (block != nullptr && bytes > 0) memcpy(other, block, std::min(malloc_usable_size(block), bytes));
  release(block);
  return other;
}

}  // namespace

bool overwrite_freed_memory_of_openssl() { return CRYPTO_set_mem_functions(allocate, resize, give_back) == 1; }

}  // namespace beamgate

#ifndef BEAMGATE_SANITIZED

// new[] and delete[], the sized and the nothrow ones come to these two (cppreference.com, "Global replacements").
void* operator new(size_t bytes) {
  for (;;) {
    if (void* block = malloc(std::max<size_t>(bytes, 1))) return block;
    const std::new_handler handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

void operator delete(void* block) noexcept { beamgate::release(block); }
void operator delete(void* block, size_t) noexcept { beamgate::release(block); }

#endif
