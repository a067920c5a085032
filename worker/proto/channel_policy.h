// Channel policy: what the "channels" rules let a client do, whatever its protocol.
//
// Owner      One per worker, shared by the protocols.
// Thread     Worker loop thread only.
// Limits     Those of a channel hold for the node: its rate stands in the table of limit_req's rates (ipc::RateTable), its
//            subscribers in that of limit_conn's counts (ipc::AddressTable), whose limits are.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/keyed_hash.h"
#include "worker/context.h"
#include "worker/hub/hub.h"
#include "worker/settings.h"

namespace beamgate::proto {

class ChannelPolicy final : public hub::SubscriberLimit {
 public:
  // Takes Hub::set_is_pattern and Hub::set_limit for itself.
  explicit ChannelPolicy(Context& context);
  ~ChannelPolicy() override;
  ChannelPolicy(const ChannelPolicy&) = delete;
  ChannelPolicy& operator=(const ChannelPolicy&) = delete;

  void follow();  // The settings have changed.

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
  // Takes what it allows from the channel's rate, and counts what it doesn't.
  Publishing may_publish(std::string_view channel, size_t bytes);
  // Count what a protocol refuses.
  void refused(Publishing why);
  void refused(Subscribing why);

  // What a subscription that is let in begins with: presence, where the rules have it, under the record's user, or its
  // connection id where it has none; and the newest publication from channels with a cache.  Texts of `user` borrow.
  void prepare(const record::Record& record, std::string_view channel, std::string& user, hub::JoinOptions& options) const;

  // Subscribes a client whose protocol has nothing to say of it, as the rules have it: its presence, and the newest
  // publication (hub::Deliverer::joined()).  A plain subscription that it has becomes such a one.
  Result<hub::Subscribed> subscribe(record::Record& record, std::string_view channel);

  // hub::SubscriberLimit
  bool admit(std::string_view channel, size_t here) override;
  void count(std::string_view channel, size_t here) override;

 private:
  using Entries = std::vector<uint32_t>;  // Of the table, one for each subscriber.

  Publishing judge(std::string_view channel, size_t bytes);
  uint64_t key_of(std::string_view what, std::string_view channel) const;
  std::optional<uint32_t> take_place(std::string_view channel, uint32_t most) const;
  bool is_full(std::string_view channel, uint32_t most) const;

  Context& context_;
  const KeyedHash hash_;
  bool bounds_subscribers_ = false;  // Some rules do.
  std::unordered_map<std::string, Entries, KeyedHash, std::equal_to<>> counted_;
};

}  // namespace beamgate::proto
