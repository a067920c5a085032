// Layers: the client protocols of a worker and what serves each kind of location, put together.
//
// Owner      Worker.  This is the one file that knows all of them; a new protocol or action is wired here.
#pragma once

#include <cstdint>
#include <memory>

#include "worker/context.h"

namespace beamgate {

namespace ws {
class WebSockets;
}
namespace tls {
class Contexts;
}
namespace proto {
class Delivery;
}

class Layers {
 public:
  explicit Layers(Context& context);
  ~Layers();

  void wire(proto::Delivery& delivery);  // Tells it of every protocol.
  ws::WebSockets& websockets();
  tls::Contexts& tls_contexts();

  void follow();    // The settings in force are others now.
  void end_turn();  // Behind Connections::end_turn().
  bool has_pending_turn() const;  // As Connections has.
  void reopen_logs();
  void set_short_of_memory(bool is_short);  // No new request is taken.
  // No new requests on kept connections, WebSockets are closed with 1001 within `over_ms`.
  void drain(int64_t over_ms);
  // The same for connections that another worker couldn't take: 1012, between `from_ms` and `until_ms` from now.
  void finish_what_stays(int64_t from_ms, int64_t until_ms);

 private:
  struct Parts;
  Context& context_;
  std::unique_ptr<Parts> parts_;
};

}  // namespace beamgate
