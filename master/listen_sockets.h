// ListenSockets: every listening socket of the node, made once and kept over reloads and worker deaths.
//
// Owner      Master.  Workers get copies: of each TCP listen the one of their slot's column, which is also their
//            twin's (SO_REUSEPORT, so that the kernel spreads clients and each worker has its own queue), of each
//            unix socket the only one.  What is said of slots below means columns.
// Changes    In two steps, as a reload needs it: prepare() binds what is new, commit() begins to listen there
//            and closes what is gone, abort() takes the new ones back.  Nobody can connect to a socket before
//            commit(), so an abort resets nobody.
// Shrinking  A listening socket that closes resets the clients in its queue.  So, before slots go, steer()
//            makes the kernel choose among the others (a classic BPF program on the group, whose sockets stand
//            in the order of their slots); the leaving workers accept what is still queued; trim() closes.
// Files      A unix socket's file gets mode 0666, replaces a stale one, and is removed with the socket.
// Errors     BindFailure names the address.  A port that another program or another master listens on is
//            refused, although SO_REUSEPORT alone would share it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/base/unique_fd.h"
#include "common/config/model.h"
#include "common/ipc/handover.h"
#include "master/handover_state.h"

namespace beamgate::master {

struct BindFailure {
  std::string address;
  Error error;
};

class ListenSockets {
 public:
  struct Borrowed {
    uint32_t id = 0;
    int descriptor = -1;
  };

  ListenSockets() = default;
  ~ListenSockets();
  ListenSockets(const ListenSockets&) = delete;
  ListenSockets& operator=(const ListenSockets&) = delete;

  // REQUIRES: slots > 0.  After a failure nothing has changed.
  std::optional<BindFailure> prepare(const config::Config& config, uint16_t slots);
  std::optional<BindFailure> commit();  // The failure is of a socket that can't listen; the others do.
  void abort();

  // Between prepare() and commit(): the slot's sockets of listens that are new.
  std::vector<Borrowed> added(uint16_t slot) const;
  // What a new worker of the slot gets.  REQUIRES: the slot was committed.
  std::vector<Borrowed> of_slot(uint16_t slot) const;

  void steer(uint16_t slots);  // New clients go to the first `slots` only.
  void unsteer();              // To all of them again.
  void trim(uint16_t slots);   // Closes the sockets of the slots from this one on.
  void close();                // Closes all; with the workers' copies gone too, clients are refused.

  // For a handover: what is committed.  And back.
  void leave(HandoverState& state) const;
  void adopt(const HandoverState& state);

  // "127.0.0.1:8080": with the port that was chosen where 0 was asked for; in the order of the configuration.
  std::vector<std::string> addresses(const config::Config& config) const;

 private:
  struct Entry {
    config::Listen listen;         // Its address is the one that was bound.
    std::vector<UniqueFd> sockets;  // By column (ipc::column_of); one for a unix socket.
    size_t listening = 0;          // How many of them, from the front.
    bool committed = false;
    bool wanted = true;            // By the configuration of the last prepare().
    uint64_t inode = 0;            // Of a unix socket's file.

    int socket_of(uint16_t slot) const { return sockets[is_unix() ? 0 : ipc::column_of(slot)].get(); }
    bool is_unix() const { return listen.address.storage.ss_family == AF_UNIX; }
  };

  Result<void> bind_entry(Entry& entry, uint16_t slots);
  Result<void> bind_unix(Entry& entry);
  Result<void> bind_tcp(Entry& entry, uint16_t slots);
  bool holds_port(uint16_t port) const;
  void remove_file(const Entry& entry) const;

  std::map<uint32_t, Entry> entries_;  // By Listen::id.
};

}  // namespace beamgate::master
