#include "tests/bench/wsload/workloads.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>

namespace beamgate::bench {
namespace {

constexpr uint64_t kSecondNs = 1'000'000'000;

void raise_to(std::atomic<uint64_t>& value, uint64_t candidate) {
  uint64_t seen = value.load();
  while (seen < candidate && !value.compare_exchange_weak(seen, candidate)) {
  }
}

// Length of the HTTP response at the front of `text`; 0 while it is not complete.
uint64_t response_bytes(std::string_view text) {
  const size_t head = text.find("\r\n\r\n");
  if (head == std::string_view::npos) return 0;
  static constexpr std::string_view kField = "content-length:";
  const auto same = [](char a, char b) { return (a | 0x20) == b || a == b; };
  const std::string_view fields = text.substr(0, head);
  const auto at = std::search(fields.begin(), fields.end(), kField.begin(), kField.end(), same);
  if (at == fields.end()) {
    std::fprintf(stderr, "wsload: a response without Content-Length: %.300s\n", text.data());
    std::exit(1);
  }
  const char* digits = at + kField.size();
  while (*digits == ' ') ++digits;
  uint64_t length = 0;
  std::from_chars(digits, fields.data() + fields.size(), length);
  const uint64_t whole = head + 4 + length;
  return text.size() >= whole ? whole : 0;
}

}  // namespace

std::string masked_frame(uint32_t size) {
  std::string frame = "\x82";
  if (size < 126) {
    frame += char(0x80 | size);
  } else if (size < 65536) {
    frame += char(0x80 | 126);
    frame += char(size >> 8), frame += char(size);
  } else {
    frame += char(0x80 | 127);
    for (int shift = 56; shift >= 0; shift -= 8) frame += char(uint64_t(size) >> shift);
  }
  frame += "mask";
  for (uint32_t i = 0; i < size; ++i) frame += char('x' ^ "mask"[i % 4]);
  return frame;
}

uint64_t plain_frame_bytes(uint32_t size) {
  return uint64_t(size) + (size < 126 ? 2 : size < 65536 ? 4 : 10);
}

RoundTrips::RoundTrips(const Options& options, Board& board, Crowd& crowd)
    : options_(options), board_(board), crowd_(crowd), http_(options.mode == "http") {
  request_ = http_ ? "GET " + options.path + " HTTP/1.1\r\nHost: " + options.host + "\r\n\r\n"
                   : masked_frame(options.size);
  for (uint32_t i = 0; i < options.depth; ++i) requests_ += request_;
  if (!http_) answer_bytes_ = plain_frame_bytes(options.size);
}

void RoundTrips::learn_length(Client& client, std::span<const char> bytes) {
  first_answer_.append(bytes.data(), bytes.size());
  answer_bytes_ = response_bytes(first_answer_);
  if (answer_bytes_ == 0) return;
  if (!first_answer_.starts_with("HTTP/1.1 200")) {
    std::fprintf(stderr, "wsload: refused: %.300s\n", first_answer_.c_str());
    std::exit(1);
  }
  // The one request that taught us is over; now the load begins on every connection.
  client.received = 0;
  const uint64_t now = now_ns();
  for (Client& each : crowd_.clients()) {
    each.sent_ns = now;
    crowd_.send(each, requests_);
  }
}

void RoundTrips::on_bytes(Client& client, std::span<const char> bytes) {
  if (answer_bytes_ == 0) return learn_length(client, bytes);
  const uint64_t before = (client.received - bytes.size()) / answer_bytes_;
  const uint64_t answers = client.received / answer_bytes_ - before;
  if (answers > 0) count(client, answers);
}

void RoundTrips::count(Client& client, uint64_t answers) {
  if (measuring_) counted_ += answers;
  if (options_.depth == 1) {
    const uint64_t now = now_ns();
    if (measuring_) ++board_.latency[Board::bucket_of((now - client.sent_ns) / 1'000)];
    client.sent_ns = now;
  }
  crowd_.send(client, std::string_view(requests_).substr(0, std::min<uint64_t>(answers, options_.depth) * request_.size()));
}

bool RoundTrips::on_turn(uint64_t now_ns) {
  if (!board_.go) return true;
  if (!running_) {
    running_ = true;
    if (answer_bytes_ == 0) {
      crowd_.send(crowd_.clients().front(), request_);
    } else {
      for (Client& client : crowd_.clients()) {
        client.sent_ns = now_ns;
        crowd_.send(client, requests_);
      }
    }
  }
  const uint64_t begin = board_.started_ns + options_.warmup * kSecondNs;
  measuring_ = now_ns >= begin;
  if (now_ns < begin + options_.seconds * kSecondNs) return true;
  board_.answers += counted_;
  raise_to(board_.finished_ns, now_ns);
  return false;
}

Listeners::Listeners(const Options& options, Board& board, Crowd& crowd, bool publishes)
    : options_(options), board_(board), crowd_(crowd), publishes_(publishes),
      expected_bytes_(plain_frame_bytes(options.size) * options.publications) {
  std::string body = options.publish_body;
  const size_t at = body.find("%DATA%");
  if (at != std::string::npos) body.replace(at, 6, std::string(options.size, 'x'));
  request_ = "POST " + options.publish_path + " HTTP/1.1\r\nHost: " + options.host + "\r\n";
  for (const std::string& field : options.publish_fields) request_ += field + "\r\n";
  request_ += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

Listeners::~Listeners() {
  if (publisher_ >= 0) close(publisher_);
}

void Listeners::connect_publisher() {
  publisher_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(options_.port);
  inet_pton(AF_INET, options_.host.c_str(), &address.sin_addr);
  const int on = 1;
  setsockopt(publisher_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (connect(publisher_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) die("connect");
}

void Listeners::publish_some() {
  std::string batch;
  while (published_ < options_.publications && published_ - answered_ < options_.window) {
    batch += request_;
    ++published_;
  }
  if (!batch.empty() && send(publisher_, batch.data(), batch.size(), MSG_NOSIGNAL) != ssize_t(batch.size())) {
    die("publish");
  }
  std::array<char, 65536> buffer{};
  const ssize_t got = recv(publisher_, buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (got == 0 || (got < 0 && errno != EAGAIN)) die("the server ended the publisher's connection");
  if (got > 0) answers_.append(buffer.data(), size_t(got));
  while (const uint64_t bytes = response_bytes(answers_)) {
    if (!answers_.starts_with("HTTP/1.1 20")) {
      std::fprintf(stderr, "wsload: publish refused: %.400s\n", answers_.c_str());
      std::exit(1);
    }
    answers_.erase(0, bytes);
    ++answered_;
  }
}

void Listeners::on_bytes(Client& client, std::span<const char> bytes) {
  if (client.received > expected_bytes_) {
    std::fprintf(stderr, "wsload: a listener got more than was published\n");
    std::exit(1);
  }
  if (!bytes.empty() && client.received == expected_bytes_) ++listeners_complete_;
}

bool Listeners::on_turn(uint64_t now_ns) {
  if (board_.go && publishes_ && answered_ < options_.publications) {
    if (publisher_ < 0) connect_publisher();
    publish_some();
  }
  if (!reported_ && listeners_complete_ == crowd_.clients().size()) {
    reported_ = true;
    raise_to(board_.finished_ns, now_ns);
    board_.answers += uint64_t(options_.publications) * crowd_.clients().size();
    ++board_.complete;
  }
  return board_.complete < options_.processes;
}

}  // namespace beamgate::bench
