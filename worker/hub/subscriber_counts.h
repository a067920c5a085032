// Subscriber counts: how many subscribers channels have on all workers together, of every protocol.
//
// Cost     One call to every worker and one look-up in each for a channel, however many channels there are.
// Thread   Worker loop thread only.
// Errors   A worker that ends, or that can't be understood, has none.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "worker/hub/hub.h"
#include "worker/hub/remote.h"

namespace beamgate::hub {

// In the question's order.
using OnSubscriberCounts = std::function<void(const std::vector<uint64_t>&)>;

// This worker answers for its own; once.
void serve_subscriber_counts(Remote& remote, const Hub& hub);

// False: it couldn't be asked (Remote::ask_all()).
[[nodiscard]] bool ask_subscriber_counts(Remote& remote, const std::vector<std::string_view>& channels,
                                         OnSubscriberCounts done);

}  // namespace beamgate::hub
