// Handle: what all libuv handles share - the memory outlives the owner until libuv has let go of it.
//
// Owner      A class of this room owns one Handle; its destructor begins uv_close() and may run inside the
//            handle's own callback.
// Lifetime   The uv handle and its callback live in one heap block that only the close callback frees.
//            After the destructor no callback runs any more.
// Thread     The loop's thread.
// Errors     Initialising a handle fails only when a descriptor is unusable; the classes say how.
#pragma once

#include <uv.h>

#include <memory>
#include <utility>

#include "common/base/assert.h"

namespace beamgate::uv {

template <typename Uv, typename Callback>
class Handle {
 public:
  struct Body {
    Uv uv;
    Callback callback;
  };

  explicit Handle(Callback callback) : body_(new Body{{}, std::move(callback)}) { body_->uv.data = body_; }
  Handle(Handle&& other) noexcept
      : body_(std::exchange(other.body_, nullptr)), open_(std::exchange(other.open_, false)) {}
  Handle& operator=(Handle&&) = delete;
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
  ~Handle() { close(); }

  Uv* get() const { return &body_->uv; }
  uv_handle_t* base() const { return reinterpret_cast<uv_handle_t*>(&body_->uv); }
  static Body& body_of(Uv* uv) { return *static_cast<Body*>(uv->data); }

  // Says that libuv knows the handle now, so that it must be closed and not just freed.
  void opened() { open_ = true; }

 private:
  void close() {
    if (body_ == nullptr) return;
    if (open_) {
      uv_close(base(), [](uv_handle_t* handle) { delete static_cast<Body*>(handle->data); });
    } else {
      delete body_;
    }
    body_ = nullptr;
  }

  Body* body_;
  bool open_ = false;
};

}  // namespace beamgate::uv
