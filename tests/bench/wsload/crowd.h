// Crowd: the connections of one load process, over one epoll instance.
//
// Owner      One per process; the Workload decides what to send and what the bytes that come back mean.
// Thread     Single.
// Limits     About 20,000 connections per source address (ephemeral ports), so that sources rotate over
//            127.0.0.x; `opening` handshakes in flight at a time.
// Errors     A refused connection or handshake ends the process with a message: a benchmark that lost some
//            of its clients measures something else.
#pragma once

#include <netinet/in.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tests/bench/wsload/options.h"

namespace beamgate::bench {

struct Client {
  int fd = -1;
  enum class State : uint8_t { Connecting, Handshaking, Open } state = State::Connecting;
  uint32_t number = 0;
  uint64_t received = 0;      // Bytes since it opened.
  uint64_t sent_ns = 0;       // When the oldest unanswered request left; for latency at depth 1.
  std::string head;           // The handshake's answer while it is not complete.
  std::string unsent;         // What the kernel did not take.
};

class Workload {
 public:
  virtual ~Workload() = default;
  virtual bool websocket() const { return true; }
  virtual void on_open(Client& client) = 0;
  virtual void on_bytes(Client& client, std::span<const char> bytes) = 0;
  virtual void on_all_open() {}
  virtual bool on_turn(uint64_t now_ns) = 0;  // After each round of events; false ends the run.
};

class Crowd {
 public:
  Crowd(const Options& options, uint32_t process, uint32_t connections);
  ~Crowd();
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  void run(Workload& workload);
  void send(Client& client, std::string_view bytes);
  bool all_open() const { return open_ == clients_.size(); }
  std::vector<Client>& clients() { return clients_; }

 private:
  void open_some();
  void open(Client& client);
  void on_event(Client& client, uint32_t events);
  void on_connected(Client& client);
  void on_readable(Client& client);
  void on_handshake(Client& client, std::span<const char> bytes);
  void become_open(Client& client);
  void flush(Client& client);

  const Options& options_;
  uint32_t process_;
  sockaddr_in address_{};
  int epoll_ = -1;
  std::vector<Client> clients_;
  size_t started_ = 0;
  size_t open_ = 0;
  std::string handshake_;
  std::vector<char> buffer_;
  Workload* workload_ = nullptr;
};

uint64_t now_ns();

// Ends the process with a message and errno's text.
[[noreturn]] void die(const char* what);

}  // namespace beamgate::bench
