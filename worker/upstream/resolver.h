// Resolver: the addresses of names, asked for without holding up the loop.
//
// Owner      ProxyHandler.
// Thread     Worker loop thread only; c-ares works on the loop's own sockets and starts no thread.
// Limits     config::Resolver::timeout_ms for one name, kAddressesMax addresses of it.
// Errors     A callback gets what went wrong, or is not called at all after cancel().
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/config/model.h"
#include "common/uv/loop.h"
#include "common/uv/poll_watcher.h"
#include "common/uv/timer.h"

struct ares_addrinfo;
struct ares_channeldata;

namespace beamgate::upstream {

class Resolver {
 public:
  static constexpr size_t kAddressesMax = 64;
  static constexpr int kTryMs = 1'000;  // One try of one server; doubles with each round.

  struct Answer {
    std::vector<config::Address> addresses;  // Never none.
    int64_t ttl_ms = 0;
  };
  using Done = std::function<void(const Result<Answer>& answer)>;
  using Id = uint64_t;

  // How often each server is asked at most: as often as there is time for.
  static int rounds_within(int64_t timeout_ms, size_t servers);

  explicit Resolver(uv::Loop& loop);
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // What is asked from now on is asked so; what is under way ends without an answer, as by cancel().
  void configure(const config::Resolver& resolver);

  // name: "host:port".  done may be called before this returns.
  Id resolve(const std::string& name, Done done);
  void cancel(Id id);  // Unknown ones are ignored.

 private:
  static constexpr int64_t kTickMs = 50;

  struct Query {
    std::string host;
    uint16_t port = 0;
    int64_t give_up_ms = 0;
    Done done;
  };
  struct Ticket;  // What c-ares holds of a query.

  bool open();
  void close();
  void process(int readable, int writable);
  void expire();
  void finish(Id id, const Result<Answer>& answer);
  void watch(int socket, bool readable, bool writable);

  uv::Loop& loop_;
  config::Resolver config_;
  ares_channeldata* channel_ = nullptr;
  std::map<int, std::unique_ptr<uv::PollWatcher>> sockets_;
  std::map<Id, Query> queries_;
  uv::Timer timer_;
  Id last_id_ = 0;
};

}  // namespace beamgate::upstream
