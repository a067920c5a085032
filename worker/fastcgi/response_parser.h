// Response parser: the records of a FastCGI server to a response head and body spans.
//
// Owner      ProxyLeg, or a webhook's call.
// Strict     Version 1, our request's id, no record types but the three of a response, STDOUT's bytes only before
//            its end.  The script's head: fields with a name that is a token and no control byte, a Status from 200
//            to 599, one framing.  A script that promised another length than it sends: more is cut off, less is
//            Invalid; so is a response without FCGI_END_REQUEST.
// Source     FastCGI 1.0 sections 3.3 and 5; RFC 3875 section 6: lines may end in LF alone, Location without
//            Status is a 302, neither is a 200.
// Limits     kHeadBytesMax, kFieldsMax: above, Invalid.  kErrorBytesMax of STDERR are kept, the rest is dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "worker/fastcgi/record.h"
#include "worker/http/response_reader.h"

namespace beamgate::fastcgi {

class ResponseParser final : public http::ResponseReader {
 public:
  static constexpr size_t kHeadBytesMax = 64 << 10;
  static constexpr size_t kFieldsMax = 1'000;
  static constexpr size_t kErrorBytesMax = 8 << 10;

  explicit ResponseParser(bool to_head) : to_head_(to_head) {}

  State feed(std::span<char> bytes, std::string_view& body) override;
  State end() override;
  State state() const { return state_; }
  bool started() const override { return started_; }
  http::ResponseHead& head() override { return head_; }
  bool may_have_body() const override { return !to_head_ && head_.status != 204 && head_.status != 304; }
  std::string take_errors() override { return std::exchange(errors_, {}); }
  bool reusable() const override { return state_ == State::Complete && !surplus_ && padding_left_ == 0; }
  Failure failure() const override { return failure_; }

 private:
  size_t take_header(std::string_view bytes);
  bool begin_record();
  void take_content(std::span<char> content, std::span<char> bytes);
  void take_stdout(std::span<char> content, std::span<char> bytes);
  void take_stderr(std::string_view text);
  size_t take_head(std::string_view text);
  bool find_head_end(size_t from);
  bool parse_head();
  bool parse_line(std::string_view line);
  bool parse_status(std::string_view value);
  void add_body(std::span<char> part, std::span<char> bytes);
  void end_request();

  const bool to_head_;
  State state_ = State::Head;
  Failure failure_;
  bool started_ = false;
  bool stdout_ended_ = false;
  bool surplus_ = false;  // Bytes came behind the response.

  char header_bytes_[kHeaderBytes];
  size_t header_filled_ = 0;  // kHeaderBytes: within a record.
  RecordHeader record_;
  size_t content_left_ = 0;
  size_t padding_left_ = 0;
  char end_bytes_[kEndRequestBytes];

  std::string head_text_;
  size_t line_at_ = 0;  // Start of the first line in head_text_ that is not complete.
  bool status_said_ = false;
  bool location_said_ = false;
  http::ResponseHead head_;
  uint64_t length_left_ = UINT64_MAX;  // Of the body, where the script has said its length.

  size_t body_at_ = 0;  // Body found in the bytes that are being fed, moved together.
  size_t body_bytes_ = 0;
  std::string errors_;
  size_t error_bytes_ = 0;  // Ever kept.
};

}  // namespace beamgate::fastcgi
