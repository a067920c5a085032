// Porter: makes an image of a record, and a record of an image.
//
// Owner      Source and Destination have one each.
// Thread     Worker loop thread only.
// Errors     An image that finds no room, or whose socket is another, is refused; nothing of it is left.
#pragma once

#include "common/base/unique_fd.h"
#include "worker/context.h"
#include "worker/move/image.h"
#include "worker/proto/hook_queue.h"

namespace beamgate::move {

class Porter {
 public:
  explicit Porter(Context& context);

  // Views into the arena: good until the record changes.  REQUIRES: it is movable, and not frozen yet.
  Image take(const record::Record& record) const;

  // A frozen record that arrives (net::Connections::admit()); null, with a reason: refused.
  record::Record* build(const Image& image, UniqueFd socket, uint32_t page, uint32_t place, const char*& reason);

  // An arriving record that doesn't come.
  void discard(record::Record& record);

 private:
  bool fill(record::Record& record, const Image& image);

  Context& context_;
  proto::HookQueue hooks_;
};

}  // namespace beamgate::move
