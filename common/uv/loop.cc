#include "common/uv/loop.h"

#include "common/base/assert.h"

namespace beamgate::uv {
namespace {

// A close callback runs in the turn after uv_close(); a signal handle may need one more.  What is still
// alive after so many turns was never closed.
constexpr int kCloseTurnsMax = 16;

}  // namespace

Loop::Loop() {
  const int status = uv_loop_init(&loop_);
  BG_ASSERT(status == 0);  // Out of descriptors or memory before serving began: nothing to fall back to.
}

Loop::~Loop() {
  int status = uv_loop_close(&loop_);
  for (int turn = 0; status == UV_EBUSY && turn < kCloseTurnsMax; ++turn) {
    uv_run(&loop_, UV_RUN_NOWAIT);
    status = uv_loop_close(&loop_);
  }
  if (status != 0) uv_print_all_handles(&loop_, stderr);
  BG_ASSERT(status == 0);
}

void Loop::run() { uv_run(&loop_, UV_RUN_DEFAULT); }

bool Loop::run_once(bool wait) { return uv_run(&loop_, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT) != 0; }

void Loop::stop() { uv_stop(&loop_); }

}  // namespace beamgate::uv
