#include "worker/proto/phoenix/longpoll_link.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "common/base/assert.h"
#include "common/base/bytes.h"
#include "worker/proto/phoenix/frames.h"
#include "worker/ws/application.h"

namespace beamgate::proto::phoenix {
namespace {

// RFC 6455 section 5.2.  A mask of zeros is one: there is no proxy between that could be fooled.
constexpr unsigned char kFin = 0x80;
constexpr unsigned char kMasked = 0x80;
constexpr char kMask[4] = {};

void append_frame(std::string& out, ws::Opcode opcode, std::string_view payload) {
  out += static_cast<char>(kFin | static_cast<unsigned char>(opcode));
  const size_t bytes = payload.size();
  if (bytes < 126) {
    out += static_cast<char>(kMasked | bytes);
  } else if (bytes <= UINT16_MAX) {
    out += static_cast<char>(kMasked | 126);
    char length[2];
    store_be(length, static_cast<uint16_t>(bytes));
    out.append(length, sizeof length);
  } else {
    out += static_cast<char>(kMasked | 127);
    char length[8];
    store_be(length, uint64_t{bytes});
    out.append(length, sizeof length);
  }
  out.append(kMask, sizeof kMask).append(payload);
}

}  // namespace

void Mailbox::add_input(bool binary, std::string_view payload) {
  append_frame(input, binary ? ws::Opcode::Binary : ws::Opcode::Text, payload);
}

void Mailbox::add_pong() {
  append_frame(input, ws::Opcode::Pong, {});
}

LongPollLink::~LongPollLink() {
  mailbox_->ended = true;
  tell();
}

void LongPollLink::tell() {
  if (*listener_ != nullptr) (*listener_)->on_mail(session_);
}

ssize_t LongPollLink::receive(char* into, size_t room) {
  Mailbox& mail = *mailbox_;
  if (mail.unread_bytes() == 0 && !shut_) return errno = EAGAIN, -1;
  const size_t bytes = std::min(room, mail.unread_bytes());
  memcpy(into, mail.input.data() + mail.read, bytes);
  mail.read += bytes;
  if (mail.unread_bytes() == 0) {
    mail.input.clear();
    mail.read = 0;
  }
  return static_cast<ssize_t>(bytes);
}

ssize_t LongPollLink::send(const iovec* vectors, size_t count) {
  if (!writable()) return errno = EAGAIN, -1;
  size_t sent = 0;
  for (size_t i = 0; i < count; ++i) {
    partial_.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
    sent += vectors[i].iov_len;
  }
  bool any = false;
  while (take_frame()) any = true;
  if (any) tell();
  return static_cast<ssize_t>(sent);
}

// The gateway's frames are whole messages, neither masked nor compressed.
bool LongPollLink::take_frame() {
  if (partial_.size() < 2) return false;
  size_t head = 2;
  uint64_t bytes = static_cast<unsigned char>(partial_[1]);
  if (bytes == 126) head += 2;
  if (bytes == 127) head += 8;
  if (partial_.size() < head) return false;
  if (head == 4) bytes = load_be<uint16_t>(partial_.data() + 2);
  if (head == 10) bytes = load_be<uint64_t>(partial_.data() + 2);
  if (partial_.size() - head < bytes) return false;
  const auto opcode = static_cast<ws::Opcode>(partial_[0] & 0x0f);
  std::string payload = partial_.substr(head, bytes);
  partial_.erase(0, head + bytes);
  switch (opcode) {
    case ws::Opcode::Binary:
      payload = text_of_binary(payload);
      if (payload.empty()) break;  // The application has sent what is no frame of this protocol.
      [[fallthrough]];
    case ws::Opcode::Text:
      mailbox_->waiting_bytes += payload.size();
      mailbox_->messages.push_back(std::move(payload));
      break;
    case ws::Opcode::Close:
      append_frame(mailbox_->input, ws::Opcode::Close, std::string_view(payload).substr(0, 2));
      break;
    case ws::Opcode::Ping:  // Polls show that the client lives, not this.
    case ws::Opcode::Pong:
    case ws::Opcode::Continuation:
      break;
  }
  return true;
}

void LongPollLink::shut_write() {
  shut_ = true;
  tell();
}

}  // namespace beamgate::proto::phoenix
