// One alarm per connection, the nearest; none for a connection that has gone.
#include "worker/proto/centrifuge/alarms.h"

#include <gtest/gtest.h>

#include <vector>

#include "common/base/clock.h"
#include "common/uv/loop.h"

namespace beamgate::proto::centrifuge {
namespace {

TEST(Alarms, NearestFirstAndOneEach) {
  uv::Loop loop;
  {
    std::vector<uint32_t> rung;
    Alarms alarms(loop, [&](record::ConnId id) {
      rung.push_back(id.slot);
      if (rung.size() % 2 == 0) loop.stop();
    });
    const int64_t now_ms = wall_ms();
    alarms.set({1, 7}, now_ms + 20);
    alarms.set({2, 7}, now_ms + 10);
    alarms.set({3, 7}, now_ms + 1);
    alarms.set({1, 7}, now_ms + 3'600'000);  // There is an earlier one.
    alarms.set({4, 7}, now_ms + 3'600'000);
    EXPECT_EQ(alarms.size(), 4u);
    alarms.clear({3, 6});  // Of the slot's last connection: nothing to do.
    EXPECT_EQ(alarms.size(), 4u);
    alarms.clear({3, 7});
    loop.run();
    EXPECT_EQ(rung, (std::vector<uint32_t>{2, 1}));
    EXPECT_EQ(alarms.size(), 1u);
    alarms.set({4, 8}, now_ms + 1);  // The slot is another connection's by now.
    EXPECT_EQ(alarms.size(), 1u);
    alarms.set({5, 1}, now_ms);
    loop.run();
    EXPECT_EQ(rung.size(), 4u);
  }
}

}  // namespace
}  // namespace beamgate::proto::centrifuge
