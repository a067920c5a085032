// RecordLayer: TLS 1.3's protected records (RFC 8446 section 5), from where a handshake has ended.
//
// What it needs to know of a connection is Protection, which is plain data: a connection whose handshake OpenSSL has
// made goes on with it in another process, or in the successor of a dead one.
// Owner      The derived keys are RecordLayer's, in the process's heap, made when they are first needed; Protection is
//            whoever's keeps the connection.
// Thread     Worker loop thread only.
// Sealing    The same plaintext sealed with the same Protection gives the same bytes: what was sealed and lost can be
//            sealed again.  Other plaintext must never be sealed with a Protection that has been used, so what is to be
//            sealed is settled first, and a record is counted (sealed()) once it can't be changed any more.
// Limits     kPlaintextBytes a record; kEmptyRecordsMax records without content and kKeyUpdatesMax changes of keys in a
//            row, as somebody else's work is not to be had for nothing; kRecordsPerKey of ours before our keys change
//            (section 5.5).
// Errors     A record that can't be opened ends the connection: Opened says with which alert.
// Source     RFC 8446 sections 4.6.3 (KeyUpdate), 5 (records), 6 (alerts), 7.2 and 7.3 (keys).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace beamgate::tls {

// Cipher suites, by their numbers (RFC 8446 appendix B.4).
enum class Suite : uint16_t { Aes128GcmSha256 = 0x1301, Aes256GcmSha384 = 0x1302, ChaCha20Poly1305Sha256 = 0x1303 };
bool is_movable(uint16_t suite);  // One of these.
std::string_view name_of(Suite suite);

constexpr size_t kSecretBytesMax = 48;

// What changes with every record, and is small.
struct Progress {
  uint64_t opened = 0;         // Sequence number of the peer's next record,
  uint64_t sealed = 0;         // and of ours.
  uint8_t received_close = 0;  // Nothing that comes now counts.
  uint8_t owes_key_update = 0; // Before anything else is sealed.
  uint8_t empty_records = 0;   // In a row.
  uint8_t key_updates = 0;
  uint8_t fragment_bytes = 0;  // Of a handshake message that goes on in the next record.
  uint8_t fragment[4] = {};
  uint8_t unused[7] = {};
};

struct Protection {
  Progress progress;
  Suite suite = Suite::Aes128GcmSha256;
  uint8_t unused[6] = {};
  uint8_t peer_secret[kSecretBytesMax] = {};  // client_application_traffic_secret_N of a client,
  uint8_t own_secret[kSecretBytesMax] = {};   // and server_application_traffic_secret_N here.
};
static_assert(std::is_trivially_copyable_v<Protection> && sizeof(Protection) == 136);

class RecordLayer {
 public:
  static constexpr size_t kPlaintextBytes = 16 << 10;
  static constexpr size_t kHeaderBytes = 5;
  static constexpr size_t kOverheadBytes = kHeaderBytes + 1 + 16;  // Header, inner content type, tag.
  static constexpr size_t kRecordBytesMax = kHeaderBytes + kPlaintextBytes + 256;
  static constexpr uint8_t kEmptyRecordsMax = 32;
  static constexpr uint8_t kKeyUpdatesMax = 32;
  static constexpr uint64_t kRecordsPerKey = uint64_t{1} << 24;

  // RFC 8446 section 6.
  enum class Alert : uint8_t {
    CloseNotify = 0,
    UnexpectedMessage = 10,
    BadRecordMac = 20,
    RecordOverflow = 22,
    DecodeError = 50,
    InternalError = 80,
    IllegalParameter = 47,
    UserCanceled = 90,
  };

  // Of one connection: from the first call on it is always given the same Protection, as it has changed since.
  RecordLayer() = default;
  RecordLayer(const RecordLayer&) = delete;
  RecordLayer& operator=(const RecordLayer&) = delete;

  struct Opened {
    size_t used = 0;                // Of the input: whole records.
    size_t plaintext = 0;           // In `into`.
    std::optional<Alert> failure;   // The connection can't go on; what came before it is good.
    const char* reason = "";        // Static storage.
    bool answer = true;             // The failure is to be told; false: the peer has told it.
  };
  // Opens the records that are whole, until close_notify.  into has room for as much as `records` holds.
  Opened open(Protection& protection, std::span<const char> records, std::span<char> into);

  // Application data, in records of kPlaintextBytes and the rest; appended to `out`.  Their numbers begin with
  // progress.sealed, which the caller advances by records_for().
  [[nodiscard]] bool seal(const Protection& protection, std::string_view plaintext, std::string& out);
  [[nodiscard]] bool seal_alert(const Protection& protection, Alert alert, std::string& out);
  [[nodiscard]] bool seal_key_update(const Protection& protection, std::string& out);
  // Our KeyUpdate is out: the next record is sealed with the next keys.
  void update_own_keys(Protection& protection);

  static constexpr size_t records_for(size_t plaintext) {
    return (plaintext + kPlaintextBytes - 1) / kPlaintextBytes;
  }
  static constexpr size_t sealed_bytes(size_t plaintext) { return plaintext + records_for(plaintext) * kOverheadBytes; }
  static constexpr size_t kAlertBytes = 2 + kOverheadBytes;
  static constexpr size_t kKeyUpdateBytes = 5 + kOverheadBytes;

  // Whether a whole record is there.
  static bool holds_record(std::span<const char> bytes);

 private:
  // Of one direction (section 7.3).
  struct Keys {
    ~Keys() { forget(); }
    void derive(Suite suite, const uint8_t* secret);
    void forget();  // They are overwritten.

    uint8_t key[32] = {};
    uint8_t iv[12] = {};
    bool known = false;
  };
  class Cipher;

  static bool seal_record(Cipher& cipher, uint64_t sequence, uint8_t type, std::string_view content, std::string& out);
  bool seal_one(const Protection& protection, uint8_t type, std::string_view content, std::string& out);
  void take_handshake(Protection& protection, std::string_view content, Opened& opened);
  static void take_alert(Protection& protection, std::string_view content, Opened& opened);

  Keys peer_;
  Keys own_;
};

}  // namespace beamgate::tls
