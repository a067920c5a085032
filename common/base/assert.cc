#include "common/base/assert.h"

#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace beamgate {
namespace {

void write_stderr(const char* text) noexcept {
  const ssize_t written = write(STDERR_FILENO, text, strlen(text));
  static_cast<void>(written);  // Nothing can be done about a closed stderr here.
}

}  // namespace

void assertion_failed(const char* file, int line, const char* text) noexcept {
  char digits[16];
  char* cursor = digits + sizeof digits - 1;
  *cursor = '\0';
  do {
    *--cursor = static_cast<char>('0' + line % 10);
    line /= 10;
  } while (line > 0);
  write_stderr(file);
  write_stderr(":");
  write_stderr(cursor);
  write_stderr(": assertion failed: ");
  write_stderr(text);
  write_stderr("\n");
  abort();
}

}  // namespace beamgate
