#include "worker/ws/deflate_offer.h"

#include <algorithm>
#include <string_view>

#include "common/base/bytes.h"
#include "worker/ws/token_list.h"

namespace beamgate::ws {
namespace {

constexpr uint64_t kWindowBitsMin = 8;
constexpr uint64_t kWindowBitsMax = 15;
constexpr uint8_t kDeflateWindowBitsMin = 9;  // zlib's deflate has no window of 256 bytes.

// One permessage-deflate element as the client wrote it.
struct Offer {
  bool acceptable = true;
  bool server_no_takeover = false;
  bool client_no_takeover = false;
  std::optional<uint8_t> server_window_bits;
  bool client_window_bits_known = false;  // The client may be told a window.
  std::optional<uint8_t> client_window_bits;
};

std::optional<uint8_t> parse_window_bits(std::string_view text) {
  uint64_t bits = 0;
  if (text.empty() || text.front() == '0' || !parse_decimal(text, bits)) return std::nullopt;
  if (bits < kWindowBitsMin || bits > kWindowBitsMax) return std::nullopt;
  return static_cast<uint8_t>(bits);
}

// A flag must come once and without value.
bool take_flag(bool& flag, const std::optional<std::string>& value) {
  if (flag || value) return false;
  flag = true;
  return true;
}

bool take_window_bits(std::optional<uint8_t>& bits, const std::optional<std::string>& value) {
  if (bits || !value) return false;
  bits = parse_window_bits(*value);
  return bits.has_value();
}

bool take_parameter(std::string_view name, const std::optional<std::string>& value, Offer& offer) {
  if (iequals(name, "server_no_context_takeover")) return take_flag(offer.server_no_takeover, value);
  if (iequals(name, "client_no_context_takeover")) return take_flag(offer.client_no_takeover, value);
  if (iequals(name, "server_max_window_bits")) return take_window_bits(offer.server_window_bits, value);
  if (!iequals(name, "client_max_window_bits") || offer.client_window_bits_known) return false;
  offer.client_window_bits_known = true;
  return !value || take_window_bits(offer.client_window_bits, value);
}

// extension = token *( ";" token [ "=" ( token | quoted-string ) ] ), RFC 6455 section 9.1.
bool parse_extension(HeaderCursor& cursor, std::string_view& name, Offer& offer) {
  name = cursor.take_token();
  if (name.empty()) return false;
  while (cursor.take(';')) {
    const std::string_view parameter = cursor.take_token();
    if (parameter.empty()) return false;
    std::optional<std::string> value;
    if (cursor.take('=') && !cursor.take_value(value.emplace())) return false;
    if (!take_parameter(parameter, value, offer)) offer.acceptable = false;
  }
  return true;
}

std::optional<DeflateParameters> accept(const Offer& offer, const config::WebSocketAction& action) {
  if (!offer.acceptable) return std::nullopt;
  DeflateParameters out;
  out.server_window_bits = static_cast<uint8_t>(
      std::min<int>(action.deflate_server_window_bits, offer.server_window_bits.value_or(kWindowBitsMax)));
  if (out.server_window_bits < kDeflateWindowBitsMin) return std::nullopt;
  if (offer.client_window_bits_known) {
    out.client_window_bits = static_cast<uint8_t>(
        std::min<int>(action.deflate_client_window_bits, offer.client_window_bits.value_or(kWindowBitsMax)));
  }
  // A message that is dropped from the queue must not be missing in the client's window.
  const bool drops = action.slow_reader == config::WebSocketAction::SlowReader::DropOldest;
  out.server_no_takeover = offer.server_no_takeover || !action.deflate_context_takeover || drops;
  out.client_no_takeover = offer.client_no_takeover || !action.deflate_context_takeover;
  return out;
}

std::string describe(const DeflateParameters& parameters) {
  std::string out = "permessage-deflate";
  if (parameters.server_no_takeover) out += "; server_no_context_takeover";
  if (parameters.client_no_takeover) out += "; client_no_context_takeover";
  if (parameters.server_window_bits < kWindowBitsMax) {
    out += "; server_max_window_bits=" + std::to_string(parameters.server_window_bits);
  }
  if (parameters.client_window_bits < kWindowBitsMax) {
    out += "; client_max_window_bits=" + std::to_string(parameters.client_window_bits);
  }
  return out;
}

// False: the field is malformed.
bool read_offers(std::string_view text, const config::WebSocketAction& action, DeflateAnswer& answer) {
  HeaderCursor cursor(text);
  size_t empty = 0;
  size_t named = 0;
  do {
    if (cursor.at_empty()) {
      ++empty;
      continue;
    }
    ++named;
    std::string_view name;
    Offer offer;
    if (!parse_extension(cursor, name, offer)) return false;
    if (!action.deflate || answer.parameters || !iequals(name, "permessage-deflate")) continue;
    answer.parameters = accept(offer, action);
  } while (cursor.take(','));
  return cursor.at_end() && named > 0 && empty <= HeaderCursor::kEmptyElementsMax;
}

}  // namespace

DeflateAnswer negotiate_deflate(const http::Request& request, const config::WebSocketAction& action) {
  DeflateAnswer answer;
  for (const http::Field& field : request.fields) {
    if (!iequals(field.name, "Sec-WebSocket-Extensions")) continue;
    if (!read_offers(field.value, action, answer)) return DeflateAnswer{.malformed = true};
  }
  if (answer.parameters) answer.field = describe(*answer.parameters);
  return answer;
}

}  // namespace beamgate::ws
