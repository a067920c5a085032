// Response parser: a backend's bytes to a response head and body spans.
//
// Owner      ProxyLeg.
// Strict     Lines end in CRLF, no folded or control bytes in fields, one framing only, chunked as the only
//            transfer coding.  Whatever breaks a rule makes the response Invalid.  101 is Invalid unless
//            it agrees to what was asked for.
// Source     RFC 9112 sections 4 to 7; llhttp in strict mode does the grammar of heads, ChunkDecoder that of chunks.
// Limits     kHeadBytesMax, kFieldsMax, kInterimMax heads of 1xx, and ChunkDecoder's for chunk extensions and
//            trailers; above each the response is Invalid.
#pragma once

#include <llhttp.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/http/chunk_decoder.h"
#include "worker/http/exchange.h"
#include "worker/http/response_reader.h"

namespace beamgate::upstream {

// Finds the end of a response head, over any number of pieces.
class HeadScanner {
 public:
  enum class Found : uint8_t { More, End, Bad };

  // `text` is the head from its first byte; longer than at the last call.
  Found scan(std::string_view text);
  size_t end() const { return at_; }  // After End: the size of the head.
  void reset() { *this = HeadScanner(); }

 private:
  size_t at_ = 0;  // Start of the first line not seen completely.
};

class ResponseParser final : public http::ResponseReader {
 public:
  static constexpr size_t kHeadBytesMax = 64 << 10;
  static constexpr size_t kFieldsMax = 1'000;
  static constexpr int kInterimMax = 1'000;

  // What the request was, as far as it decides how the response is read.
  struct Asked {
    bool head = false;     // By HEAD: no body follows.
    bool upgrade = false;  // For a WebSocket.
    bool trailers = true;  // Fields behind the body are wanted.
  };

  explicit ResponseParser(Asked asked) : asked_(asked) {
    if (asked_.trailers) chunks_.keep_trailers(trailer_text_);
  }
  ResponseParser(const ResponseParser&) = delete;
  ResponseParser& operator=(const ResponseParser&) = delete;

  State feed(std::span<char> bytes, std::string_view& body) override;
  State end() override;

  State state() const { return state_; }
  bool started() const override { return started_; }
  http::ResponseHead& head() override { return head_; }
  bool may_have_body() const override { return !asked_.head && head_.status != 204 && head_.status != 304; }
  std::vector<http::ResponseHead> take_interims() override { return std::exchange(interims_, {}); }
  bool has_trailers() const override { return !trailers_.empty(); }
  std::vector<http::ResponseField> take_trailers() override { return std::exchange(trailers_, {}); }
  bool reusable() const override { return state_ == State::Complete && keep_alive_ && !surplus_; }

 private:
  struct FieldView {
    std::string_view name;
    std::string_view value;
  };
  struct Callbacks;  // What llhttp calls.

  size_t take_head(std::span<char> bytes);
  void parse_head(std::string_view head);
  bool accept_head();
  bool accept_switch() const;
  bool accept_framing() const;
  bool build_head();
  void read_trailers();
  void run_chunks();
  void run_body(std::span<char> bytes, std::string_view& body);
  void add_body(const char* at, size_t size);

  const Asked asked_;
  State state_ = State::Head;
  bool started_ = false;
  bool interim_ = false;          // The head being parsed is a 1xx.
  bool head_accepted_ = false;    // A final head.
  bool message_complete_ = false;
  bool keep_alive_ = false;
  bool surplus_ = false;          // Bytes came behind the response.
  int interim_count_ = 0;
  std::vector<http::ResponseHead> interims_;
  std::vector<http::ResponseField> trailers_;
  bool chunked_ = false;
  http::ChunkDecoder chunks_;
  std::string trailer_text_;
  HeadScanner scanner_;
  std::string partial_;           // A head that came in pieces, until it is complete.
  std::vector<FieldView> fields_; // Of the head being parsed; views into it.
  http::ResponseHead head_;
  llhttp_t parser_;
  std::span<char> input_;         // What llhttp is reading now.
  size_t body_at_ = 0;            // Body found in input_, moved together.
  size_t body_bytes_ = 0;
};

}  // namespace beamgate::upstream
