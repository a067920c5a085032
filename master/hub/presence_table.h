// PresenceTable: who is in which channel, over all workers.
//
// A user is one member however many connections it has.  A channel with more users than presence_limit is counted, not
// listed, until half of that are left: what its members are told stays bounded.
// Owner      Bus.
// Thread     The master's only thread.
// Limits     kMembersMax connections in all channels together; what workers say of themselves is bounded by messages.h.
//            kLeavingBytesMax of users whose last connection is gone and who are waited for (presence_leave_delay): above it
//            expire() lets those leave at once who would leave next.
// Order      take_changes() yields what has changed since it was called last, channel by channel.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/base/keyed_hash.h"
#include "common/ipc/messages.h"

namespace beamgate::master {

class PresenceTable {
 public:
  static constexpr size_t kMembersMax = 8'000'000;
  static constexpr size_t kLeavingBytesMax = size_t{128} << 20;
  static constexpr int64_t kCountMs = 1'000;  // Between two tellings of a channel that is counted, the list included.

  struct Rules {
    uint32_t limit = 1'000;      // Users.
    int64_t leave_delay_ms = 0;
    bool told = true;            // Workers are told of changes.
  };

  // A member of a channel: a copy of ipc::Member, and where it is connected.
  struct Connection {
    uint64_t uid = 0;
    int64_t since_ms = 0;
    uint8_t protocol = 0;
    uint16_t slot = 0;
    bool confirmed = true;       // False: its worker has died, and the successor has not told yet that it lives.
    std::string user;
    std::string info;

    ipc::Member view() const { return {uid, since_ms, protocol, user, info}; }
  };

  // A user's first connection in a channel has come, or its last one is gone for good.
  struct UserChange {
    std::string channel;
    std::string user;
    std::string info;            // Of that connection.
    bool joined = false;
    int64_t joined_ms = 0;       // Unix time.
    int64_t left_ms = 0;         // Of the last connection; 0 when joined.
  };
  using OnUserChange = std::function<void(const UserChange&)>;

  // Somebody may have come to a channel first, and gone last.
  void set_on_user_change(OnUserChange on_user_change) { on_user_change_ = std::move(on_user_change); }

  // The same connection again: its info, or its worker, is another one.  False: kMembersMax.  quiet: nobody is told.
  bool enter(std::string_view channel, const ipc::Member& member, uint16_t slot, const Rules& rules, bool quiet,
             int64_t now_ms);
  // Means nothing for a connection that isn't there, or that another slot has.
  void leave(std::string_view channel, uint64_t uid, uint16_t slot, int64_t now_ms);
  void drop_slot(uint16_t slot, int64_t now_ms);
  // The slot's worker has died: a successor may tell which members it has still; drop_unconfirmed() ends the others.
  void doubt_slot(uint16_t slot);
  void drop_unconfirmed(uint16_t slot, int64_t now_ms);

  // Ends what presence_leave_delay has held back; the time to call it again, or 0.
  int64_t expire(int64_t now_ms);

  uint32_t users(std::string_view channel) const;
  uint32_t connections(std::string_view channel) const;
  bool listed(std::string_view channel) const;  // True for an empty one.
  // Up to `max` connections; views are good until the next change.
  std::vector<ipc::Member> list(std::string_view channel, size_t max) const;

  // The users of channels whose names begin with `prefix` and come behind `after`, in the order of the channels; all users
  // of a channel or none, until there are `max` channels.  Costs what it yields, however many there are.
  std::vector<ipc::Present> present(std::string_view prefix, std::string_view after, size_t max, bool& more) const;

  struct Changes {
    std::string_view channel;
    uint32_t users = 0;
    uint32_t connections = 0;
    bool listed = true;
    bool whole = false;                      // Everybody who is there: the first telling of one that is listed again.
    std::vector<ipc::MemberChange> changes;  // Empty unless listed.
  };
  // Tells every channel with changes, one of them when it is named; the views are good during the call.
  void take_changes(int64_t now_ms, const std::function<void(const Changes&)>& tell);
  void take_changes_of(std::string_view channel, int64_t now_ms, const std::function<void(const Changes&)>& tell);
  bool has_changes() const { return !changed_.empty(); }
  // Everybody, whatever has changed; only counted where they are, or don't fit kStateBytesMax.
  Changes whole(std::string_view channel) const;

  // For a handover: how long a user is there, and whether it has left and is only waited for.
  struct Stay {
    int64_t joined_ms = 0;       // Unix time.
    int64_t leaves_at_ms = 0;    // Monotonic; 0: this connection is there.
    int64_t left_ms = 0;         // Unix time.
  };
  template <typename Visitor>  // (channel, Connection, Stay)
  void for_each(Visitor visit) const {
    for (const auto& [name, channel] : channels_) {
      for (const auto& [uid, connection] : channel.connections) {
        visit(name, connection, Stay{channel.users.find(connection.user)->second.joined_ms, 0, 0});
      }
      for (const auto& [whose, user] : channel.users) {
        if (user.leaves_at_ms != 0) visit(name, user.last, Stay{user.joined_ms, user.leaves_at_ms, user.left_ms});
      }
    }
  }
  // And back; nobody is told.
  void adopt(std::string_view channel, Connection connection, const Stay& stay, const Rules& rules);
  // After its members: it was only counted.
  void adopt_counted(std::string_view channel);

 private:
  using Leaving = std::multimap<int64_t, std::pair<std::string, std::string>>;  // By time: channel and user.
  struct User {
    uint32_t connections = 0;
    int64_t joined_ms = 0;       // Unix time.
    int64_t leaves_at_ms = 0;    // Its last connection is gone, and it leaves then; 0: it is there.
    Leaving::iterator leaving;   // Then.
    int64_t left_ms = 0;         // Unix time of that.
    Connection last;             // That connection.
  };
  struct Change {
    ipc::MemberEvent event{};
    bool whole_user = false;
    Connection connection;
  };
  struct Channel {
    std::unordered_map<uint64_t, Connection> connections;  // By uid.
    std::unordered_map<std::string, User, KeyedHash, std::equal_to<>> users;
    Rules rules;
    bool listed = true;
    bool changed = false;        // It is in changed_.
    bool relisted = false;       // It was counted before, and nobody has been told.
    int64_t told_ms = 0;         // When it was told as numbers last.
    std::vector<Change> changes;
  };
  using Channels = std::unordered_map<std::string, Channel, KeyedHash, std::equal_to<>>;
  struct ByName {
    using is_transparent = void;
    static std::string_view name(const Channels::value_type* entry) { return entry->first; }
    static std::string_view name(std::string_view text) { return text; }
    bool operator()(const auto& a, const auto& b) const { return name(a) < name(b); }
  };

  void remove(Channels::value_type& entry, uint64_t uid, int64_t now_ms);
  static size_t bytes_of(const User& leaving);
  void await_leave(const std::string& channel, const std::string& name, User& user, int64_t at_ms);
  void await_no_leave(User& user);  // It is waited for no longer.
  void end_user(Channels::value_type& entry, std::string_view user);
  void note(Channels::value_type& entry, ipc::MemberEvent event, bool whole_user, const Connection& connection);
  void adjust_mode(Channels::value_type& entry);
  Channels::iterator open(std::string_view name);
  void forget_if_empty(Channels::iterator entry);
  static Changes counts_of(const Channels::value_type& entry);
  bool tell_channel(Channels::value_type& entry, int64_t now_ms, const std::function<void(const Changes&)>& tell);

  Channels channels_;
  std::set<const Channels::value_type*, ByName> by_name_;  // The same, in the order of their names.
  size_t members_ = 0;
  std::vector<std::string> changed_;                              // Names of channels.
  Leaving leaving_;
  size_t leaving_bytes_ = 0;
  OnUserChange on_user_change_;
};

}  // namespace beamgate::master
