// Channel policy: what the "channels" rules let a client do, whatever its protocol.
//
// Owner      One per worker, shared by the protocols.
// Thread     Worker loop thread only.
// Limits     kBucketsMax channels with a rate; the buckets of all begin anew when there are more.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>

#include "common/base/keyed_hash.h"
#include "worker/context.h"
#include "worker/hub/hub.h"
#include "worker/settings.h"

namespace beamgate::proto {

class ChannelPolicy {
 public:
  static constexpr size_t kBucketsMax = 100'000;

  // Takes Hub::set_is_pattern for itself.
  explicit ChannelPolicy(Context& context);
  ~ChannelPolicy();
  ChannelPolicy(const ChannelPolicy&) = delete;
  ChannelPolicy& operator=(const ChannelPolicy&) = delete;

  // Valid until the settings change.
  const config::ChannelRules& rules_of(std::string_view channel) const;

  enum class Subscribing : uint8_t {
    Open,      // Nobody needs to be asked.
    Token,     // The client has to show one for this channel.
    Webhook,   // The rules' webhook decides.
    Denied,
    Full,      // subscribers_max.
    NoName,    // Not a channel's name.
  };
  Subscribing may_subscribe(std::string_view channel) const;

  enum class Publishing : uint8_t {
    Allowed,
    Denied,
    TooFast,   // Above the channel's rate.
    TooLarge,  // Above publication_max.
  };
  // Takes what it allows from the channel's rate.
  Publishing may_publish(std::string_view channel, size_t bytes);

  // What a subscription that is let in begins with: presence, where the rules have it, under the record's user, or its
  // connection id where it has none; and the newest publication from channels with a cache.  Texts of `user` borrow.
  void prepare(const record::Record& record, std::string_view channel, std::string& user, hub::JoinOptions& options) const;

 private:
  struct Bucket {
    int64_t full_at_ms = 0;  // When it has its whole burst again, if nothing more is taken.
  };

  Context& context_;
  std::unordered_map<std::string, Bucket, KeyedHash, std::equal_to<>> buckets_;
};

}  // namespace beamgate::proto
