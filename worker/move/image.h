// Image: everything a connection is, on its way from one worker to another.
//
// Owner      Whoever encodes or decodes it; the views borrow from the source's arena or from the received bytes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/secret.h"
#include "worker/hub/hub.h"
#include "worker/record/extras.h"
#include "worker/record/tls_state.h"

namespace beamgate::move {

struct HookMessage {
  bool binary = false;
  uint32_t sequence = 0;
  std::string_view bytes;
};

struct Image {
  // Its plain fields; no Ref is set, and nothing that only the worker knows (slot lists, ticks, descriptor).
  record::Record fields;
  int64_t deadline_ms = 0;       // Monotonic, the same clock on the whole host; 0: none.
  int64_t last_received_ms = 0;
  uint16_t descriptor = 0;       // Which of the batch's.
  record::Extras extras;
  std::optional<Wiped<record::TlsState>> tls;  // Its Ref is not set.
  std::string_view tls_carry;                  // Ciphertext.
  std::string_view negotiated;                 // common/tls/negotiated.h
  std::string_view carry;
  std::string_view message;      // Of a WebSocket message in progress.
  std::string_view user;
  std::string_view app_state;
  std::string_view handshake;
  std::string sent_history;
  std::string received_history;
  std::vector<std::string_view> outbound;  // Frames; of the first fields.outbound_offset bytes are out.
  std::vector<HookMessage> hooks;
  std::vector<hub::Hub::Position> subscriptions;
};

}  // namespace beamgate::move
