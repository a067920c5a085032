#include "common/uv/turn.h"

namespace beamgate::uv {
namespace {

template <typename Uv>
void on_turn(Uv* handle) noexcept {
  Handle<Uv, TurnCallback>::body_of(handle).callback();
}

}  // namespace

BeforePoll::BeforePoll(Loop& loop, TurnCallback callback) : handle_(std::move(callback)) {
  uv_prepare_init(loop.raw(), handle_.get());
  handle_.opened();
}
void BeforePoll::start() { uv_prepare_start(handle_.get(), on_turn<uv_prepare_t>); }
void BeforePoll::stop() { uv_prepare_stop(handle_.get()); }
void BeforePoll::unref() { uv_unref(handle_.base()); }

AfterPoll::AfterPoll(Loop& loop, TurnCallback callback) : handle_(std::move(callback)) {
  uv_check_init(loop.raw(), handle_.get());
  handle_.opened();
}
void AfterPoll::start() { uv_check_start(handle_.get(), on_turn<uv_check_t>); }
void AfterPoll::stop() { uv_check_stop(handle_.get()); }
void AfterPoll::unref() { uv_unref(handle_.base()); }

Idle::Idle(Loop& loop, TurnCallback callback) : handle_(std::move(callback)) {
  uv_idle_init(loop.raw(), handle_.get());
  handle_.opened();
}
void Idle::start() { uv_idle_start(handle_.get(), on_turn<uv_idle_t>); }
void Idle::stop() { uv_idle_stop(handle_.get()); }
bool Idle::active() const { return uv_is_active(handle_.base()) != 0; }

}  // namespace beamgate::uv
