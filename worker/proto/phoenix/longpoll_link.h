// Long-poll link: a WebSocket without a socket: what stands for the socket of a client that polls.
//
// The WebSocket layer reads frames from it, which are made of what the client has posted, and the frames it
// writes become messages that wait for the client's next poll.  So a polling client is a connection like any
// other: to the hub, to limits and queues, to the API.
//
// Owner      net::Connections, as the link of the session's record (LongPolls).
// Thread     Worker loop thread only.
// Limits     kWaitingBytesMax of messages; what is above it waits in the connection's queue, as behind a full
// socket. Binary     Polls carry texts: a binary message is text_of_binary().
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "worker/net/stream_link.h"

namespace beamgate::proto::phoenix {

// What client and gateway have for each other; it outlives the link by the last poll.
struct Mailbox {
  std::string input;                 // Frames as a client's: masked.
  size_t read = 0;                   // Of it.
  std::deque<std::string> messages;  // For the client.
  size_t waiting_bytes = 0;          // Of them.
  bool ended = false;                // The link is gone.

  size_t unread_bytes() const { return input.size() - read; }
  void add_input(bool binary, std::string_view payload);
  void add_pong();  // A sign of life.
};

class LongPollLink final : public net::StreamLink {
 public:
  static constexpr size_t kWaitingBytesMax = 256 << 10;

  // Told that there are messages, or that the link is gone.
  class Listener {
   public:
    virtual ~Listener() = default;
    virtual void on_mail(uint64_t session) = 0;
  };

  // listener: set to null by a listener that dies before the link.
  LongPollLink(std::shared_ptr<Mailbox> mailbox, std::shared_ptr<Listener*> listener)
      : mailbox_(std::move(mailbox)), listener_(std::move(listener)) {}
  ~LongPollLink() override;

  void set_session(uint64_t session) { session_ = session; }  // What the listener is told of.

  ssize_t receive(char* into, size_t room) override;
  ssize_t send(const iovec* vectors, size_t count) override;
  void shut_write() override;
  bool readable() const override { return mailbox_->unread_bytes() > 0 || shut_; }
  bool writable() const override { return mailbox_->waiting_bytes < kWaitingBytesMax; }
  bool broken() const override { return false; }

 private:
  bool take_frame();
  void tell();

  std::shared_ptr<Mailbox> mailbox_;
  std::shared_ptr<Listener*> listener_;
  uint64_t session_ = 0;
  std::string partial_;  // Of frames that have been sent so far.
  bool shut_ = false;    // We have ended; so has the peer, then.
};

}  // namespace beamgate::proto::phoenix
