// Subscription counts: tells the subscribers of a channel how many they are, on all workers together.
//
//   change here -> a pause of kGatherMs -> every worker is asked for its number -> every worker tells its subscribers
//   kLookMs after the last question, while there are subscribers here -> the same for kChannelsPerLook channels, in turn:
//   clients of other protocols come and go unnoticed, and so do those of a worker that dies
// Presence channels, whose members know each other, and channels of users have none.
//
// Owner      Pusher; one per worker.  Whoever has had a change asks, so two may tell the same number; it is told once.
// Thread     Worker loop thread only.
// Limits     kChannelsMax channels wait to be asked about; a change above it is not told.  A channel with more than
//            kManySubscribers is told once in kManyMs.
// Counting   Subscribers of every protocol count.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/uv/timer.h"
#include "worker/proto/pusher/app_events.h"
#include "worker/proto/pusher/clients.h"

namespace beamgate::pusher {

class SubscriptionCounts {
 public:
  static constexpr int64_t kGatherMs = 50;
  static constexpr int64_t kManyMs = 5'000;
  static constexpr uint64_t kManySubscribers = 100;
  static constexpr size_t kChannelsMax = 50'000;
  static constexpr size_t kChannelsPerQuestion = 1'000;
  static constexpr int64_t kLookMs = 1'000;
  static constexpr size_t kChannelsPerLook = 500;

  SubscriptionCounts(Clients& clients, AppEvents& events);

  // A client has come or gone here.
  void changed(std::string_view channel);

 private:
  struct Channel {
    int64_t due_ms = 0;    // When it is asked about; 0: nothing has changed.
    int64_t told_ms = 0;
    uint64_t told = 0;     // 0: nobody has been told.
  };

  bool is_counted(std::string_view channel) const;
  void wake_at(int64_t at_ms);
  void look(int64_t now_ms, std::vector<std::string>& due);
  void ask();
  void on_counts(const std::vector<std::string>& channels, const std::vector<uint64_t>& totals);
  std::string answer_tell(std::string_view body);
  void tell(std::string_view channel, uint64_t count);

  Clients& clients_;
  AppEvents& events_;
  std::map<std::string, Channel, std::less<>> channels_;
  uv::Timer timer_;
  int64_t wakes_at_ms_ = 0;  // 0: the timer rests.
  int64_t looked_ms_ = 0;
  std::string looked_at_;    // The last channel of the last look.
};

}  // namespace beamgate::pusher
