#include "common/tls/wire.h"

#include <algorithm>
#include <cstring>

namespace beamgate::tls {
namespace {

Wire& wire_of(BIO* bio) { return *static_cast<Wire*>(BIO_get_data(bio)); }

int read_wire(BIO* bio, char* to, size_t bytes, size_t* got) noexcept {
  Wire& wire = wire_of(bio);
  BIO_clear_retry_flags(bio);
  if (wire.input.empty()) {
    BIO_set_retry_read(bio);
    return -1;
  }
  *got = std::min(bytes, wire.input.size());
  memcpy(to, wire.input.data(), *got);
  wire.input = wire.input.subspan(*got);
  return 1;
}

int write_wire(BIO* bio, const char* from, size_t bytes, size_t* put) noexcept {
  BIO_clear_retry_flags(bio);
  wire_of(bio).output.append(from, bytes);
  *put = bytes;
  return 1;
}

long control_wire(BIO*, int command, long, void*) noexcept { return command == BIO_CTRL_FLUSH ? 1 : 0; }

const BIO_METHOD* method() {
  static BIO_METHOD* const made = [] {
    BIO_METHOD* fresh = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
    BIO_meth_set_read_ex(fresh, read_wire);
    BIO_meth_set_write_ex(fresh, write_wire);
    BIO_meth_set_ctrl(fresh, control_wire);
    return fresh;
  }();
  return made;
}

}  // namespace

BIO* make_bio(Wire& wire) {
  BIO* bio = BIO_new(method());
  if (bio == nullptr) return nullptr;
  BIO_set_data(bio, &wire);
  BIO_set_init(bio, 1);
  return bio;
}

}  // namespace beamgate::tls
