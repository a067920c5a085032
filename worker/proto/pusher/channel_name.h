// Channel name: what a channel is, as the Pusher protocol tells by its prefix.
//
//   cache-                    public, and its newest event greets new subscribers
//   private-                  the application vouches for subscribers; they may send client events
//   private-encrypted-        the same, but what is sent is sealed from us, and there are no client events
//   presence-                 private, and subscribers know of each other
//   private-cache-, private-encrypted-cache-, presence-cache-    the same with a newest event
//   #server-to-user-ID        events for one user who has signed in
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace beamgate::pusher {

enum class ChannelKind : uint8_t { Public, Private, Encrypted, Presence, User };

struct ChannelName {
  ChannelKind kind = ChannelKind::Public;
  bool cache = false;

  bool wants_auth() const { return kind != ChannelKind::Public && kind != ChannelKind::User; }
  bool takes_client_events() const { return kind == ChannelKind::Private || kind == ChannelKind::Presence; }
};

inline constexpr size_t kClientNameBytesMax = 164;  // Of a channel that a client subscribes to,
inline constexpr size_t kServerNameBytesMax = 200;  // and of one that an application publishes to.

// Nothing for what is no name: empty, too long, or with other characters than letters, digits and _-=@,.; and ":",
// which Pusher's servers don't allow, but names of other protocols have.
std::optional<ChannelName> parse_channel(std::string_view name, size_t bytes_max = kClientNameBytesMax);

// The user of a ChannelKind::User channel; empty for any other name.
std::string_view user_of_channel(std::string_view name);

}  // namespace beamgate::pusher
