// Bus messages: whatever is decoded is encoded to the same bytes, of every message between workers, the master and the
// two ends of a move.  Input: one byte that says which, then its body.
#include <tuple>

#include "common/base/assert.h"
#include "common/ipc/messages.h"
#include "common/ipc/wire.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "worker/api/connection_calls.h"
#include "worker/move/protocol.h"

namespace beamgate::fuzz {
namespace {

// Appended to only: corpora name them by their place.
using Messages = std::tuple<
    ipc::Hello, ipc::Ready, ipc::Prepared, ipc::Interest, ipc::Withdraw, ipc::Publish, ipc::Call, ipc::Reply, ipc::Moved,
    ipc::Known, ipc::KnownAll, ipc::Join, ipc::Leave, ipc::JoinedAll, ipc::Ask, ipc::AskUsers, ipc::InterestAck,
    ipc::Deliver, ipc::PublishAck, ipc::Gap, ipc::Request, ipc::CallReply, ipc::Prepare, ipc::Commit, ipc::Abort, ipc::Stop,
    ipc::ReopenLogs, ipc::MoveOut, ipc::MoveIn, ipc::Recount, ipc::Recounted, ipc::Missed, ipc::ChannelState,
    ipc::PresenceChange, ipc::UserChange, ipc::UsersState, ipc::ChannelChange, ipc::Estate, move::Hello, move::Subscribe,
    move::Subscribed, move::Offer, move::Prepared, move::Commit, move::Done, move::End, api::ConnectionCall,
    api::ConnectionAnswer, ipc::Receipt, ipc::Farewell, ipc::FarewellAck>;

template <size_t kPlace = 0>
void check(size_t place, std::string_view body) {
  if constexpr (kPlace < std::tuple_size_v<Messages>) {
    if (place != kPlace) return check<kPlace + 1>(place, body);
    std::tuple_element_t<kPlace, Messages> message;
    if (!ipc::decode(body, message)) return;
    BG_ASSERT(ipc::encode(message) == body);
  }
}

}  // namespace

FUZZ_TARGET(bus_messages) {
  Input input(bytes);
  const uint8_t place = input.byte();
  check(place, input.rest());
}

}  // namespace beamgate::fuzz
