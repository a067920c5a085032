// Fuzzed worker: all client protocols of a worker in this process, with the doubles of the unit tests for the master, the
// other workers and the applications, and one client on a socket pair.
//
// Owner      A target makes one for all its inputs; every input has connections of its own, and what one leaves behind is a
//            finding.
// Time       Stands still but for the clock of the machine: no deadline of seconds passes within an input.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "common/base/unique_fd.h"
#include "worker/http/exchange.h"

namespace beamgate::fuzz {

class FuzzedWorker {
 public:
  explicit FuzzedWorker(const std::string& configuration);
  ~FuzzedWorker();

  // A new client; the one before is closed.
  void connect(size_t listen = 0);
  // What there is no room for is lost, as is everything behind the worker's end of the connection.
  void send(std::string_view bytes);
  void shut_down();               // The client has nothing more to say.
  std::string receive();          // What has come since.
  bool connected() const;         // The worker has the connection still.
  void turn(int times = 1);
  // The application answers all calls under way with this, the head's lines first (hook/reply_reader.h).
  void answer_calls(std::string_view reply, bool grip);
  void publish(std::string_view channel, std::string_view payload);

  // Ends all connections and looks whether anything is left.
  void finish();

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace beamgate::fuzz
