// Turn: calls back once in every turn of the loop, at one of its stages.
//
//   BeforePoll  (uv_prepare)  after timers, just before the loop sleeps: the place to flush what a turn
//                             has gathered.
//   AfterPoll   (uv_check)    right after the descriptors were handled.
//   Idle        (uv_idle)     before every poll, and the loop does not sleep while one is started: for work
//                             that is cut in slices.
//
// Owner, lifetime, thread: see handle.h.
#pragma once

#include <functional>

#include "common/uv/handle.h"
#include "common/uv/loop.h"

namespace beamgate::uv {

using TurnCallback = std::function<void()>;

class BeforePoll {
 public:
  BeforePoll(Loop& loop, TurnCallback callback);
  void start();
  void stop();
  void unref();

 private:
  Handle<uv_prepare_t, TurnCallback> handle_;
};

class AfterPoll {
 public:
  AfterPoll(Loop& loop, TurnCallback callback);
  void start();
  void stop();
  void unref();

 private:
  Handle<uv_check_t, TurnCallback> handle_;
};

class Idle {
 public:
  Idle(Loop& loop, TurnCallback callback);
  void start();
  void stop();
  bool active() const;

 private:
  Handle<uv_idle_t, TurnCallback> handle_;
};

}  // namespace beamgate::uv
