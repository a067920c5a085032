#include "common/tls/memory.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace beamgate::tls {
namespace {

void* allocate(size_t bytes, const char*, int) { return bytes == 0 ? nullptr : malloc(bytes); }

void release(void* block, const char*, int) {
  if (block == nullptr) return;
  explicit_bzero(block, malloc_usable_size(block));
  free(block);
}

void* resize(void* block, size_t bytes, const char* file, int line) {
  void* other = allocate(bytes, file, line);
  if (other == nullptr && bytes > 0) return nullptr;
  if (block != nullptr && bytes > 0) memcpy(other, block, std::min(malloc_usable_size(block), bytes));
  release(block, file, line);
  return other;
}

}  // namespace

bool wipe_freed_memory() { return CRYPTO_set_mem_functions(allocate, resize, release) == 1; }

}  // namespace beamgate::tls
