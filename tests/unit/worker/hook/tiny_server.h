// Tiny server: an HTTP application for tests, on loopback or a unix socket, that may behave as badly as asked.
//
// Owner      A test.  The destructor cuts every connection and joins the threads.
// Thread     One for accepting, one per connection; `answer` runs on those, one call at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace beamgate::hook {

struct Answer {
  enum class Then : uint8_t { Keep, Close, Hang, Flood };

  std::string bytes;        // As they go on the wire.
  Then then = Then::Keep;   // Flood: body bytes until the peer has enough, at most 100 MB.
};

Answer ok(const std::string& body, const std::string& fields = "");
Answer status(int code, const std::string& fields = "");

class TinyServer {
 public:
  using Reply = std::function<Answer(const std::string& head, const std::string& body)>;

  explicit TinyServer(Reply reply, const std::string& unix_path = "");
  ~TinyServer();
  TinyServer(const TinyServer&) = delete;
  TinyServer& operator=(const TinyServer&) = delete;

  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_) + "/hook"; }
  size_t connections() const;
  std::vector<std::string> heads() const;   // Of the requests so far, in order of arrival.
  std::vector<std::string> bodies() const;
  size_t requests() const { return heads().size(); }

 private:
  void accept_all();
  void serve(int socket);

  Reply reply_;
  int listener_ = -1;
  uint16_t port_ = 0;
  mutable std::mutex mutex_;
  std::mutex reply_mutex_;
  bool stopping_ = false;
  std::vector<int> sockets_;
  std::vector<std::thread> threads_;
  std::vector<std::string> heads_, bodies_;
  std::thread acceptor_;
};

}  // namespace beamgate::hook
