#include "tests/unit/master/test_master.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <set>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/config/load.h"
#include "common/ipc/channel.h"
#include "common/ipc/life.h"
#include "master/master.h"

namespace beamgate::master {
namespace {

// One client over a move's socket.
void send_client(int to, const UniqueFd& client) {
  char byte = 'c';
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  const int fd = client.get();
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  EXPECT_EQ(sendmsg(to, &message, 0), 1);
}

// Invalid: the other end is gone, or nothing is there now.
UniqueFd receive_client(int from, bool& gone) {
  char byte;
  iovec part{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = recvmsg(from, &message, MSG_CMSG_CLOEXEC);
  gone = got == 0 || (got < 0 && errno != EAGAIN);
  const cmsghdr* header = got == 1 ? CMSG_FIRSTHDR(&message) : nullptr;
  if (header == nullptr) return UniqueFd();
  int fd = -1;
  memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return UniqueFd(fd);
}

class TestWorker {
 public:
  explicit TestWorker(ipc::Handover&& handover)
      : handover_(std::move(handover)), channel_(std::move(handover_.bus)), generation_(handover_.generation) {}

  int run() {
    if (mood("exits")) return 3;
    if (handover_.metrics->get(metrics::Metric::BusFramesSent) == handover_.worker) {  // A successor.
      channel_.go_on_from({handover_.metrics->get(metrics::Metric::BusBytesSent),
                           handover_.metrics->get(metrics::Metric::BusBytesReceived)});
    }
    channel_.send(ipc::Hello{.worker = handover_.worker, .pid = static_cast<uint32_t>(getpid())});
    channel_.send(ipc::Ready{generation_});
    if (handover_.life != nullptr) handover_.life->serving = true;
    if (!mood("holds")) count_client(5);
    while (!stopped_) {
      if (!channel_.flush().ok()) return 0;
      note_positions();
      wait();
      accept_clients();
      take_moving();
      answer_held();
      const auto received = channel_.receive([this](const ipc::Frame& frame) { return handle(frame); });
      if (!received.ok()) return received.error().code == Code::Closed ? 0 : 4;
    }
    return 0;
  }

 private:
  bool mood(const char* what) const {
    const char* general = getenv("BEAMGATE_TEST_MOOD");
    if (general != nullptr && strstr(general, what) != nullptr) return true;
    return handover_.config->working_directory.find(what) != std::string::npos;
  }
  // Where a successor's channel goes on from.
  void note_positions() {
    auto& cells = handover_.metrics->cells;
    cells[static_cast<size_t>(metrics::Metric::BusFramesSent)] = handover_.worker;
    cells[static_cast<size_t>(metrics::Metric::BusBytesSent)] = channel_.positions().sent;
    cells[static_cast<size_t>(metrics::Metric::BusBytesReceived)] = channel_.positions().received;
  }
  void count_client(uint64_t count = 1) { handover_.metrics->add(metrics::Metric::ConnectionsActive, count); }

  void wait() {
    std::vector<pollfd> fds{{channel_.descriptor(), POLLIN, 0}, {incoming_.get(), POLLIN, 0}};
    if (!closed_) {
      for (const auto& listen : handover_.listens) fds.push_back({listen.fd.get(), POLLIN, 0});
    }
    for (const UniqueFd& client : held_) fds.push_back({client.get(), POLLIN, 0});
    if (handover_.life != nullptr) handover_.life->heartbeat_ms = monotonic_ms();  // Or it counts as stuck.
    poll(fds.data(), fds.size(), 1'000);
  }

  void greet(const UniqueFd& client) const {
    const std::string text = std::to_string(handover_.slot) + ' ' + std::to_string(getpid()) + ' ' +
                             std::to_string(generation_) + ' ' + std::to_string(getuid()) + '\n';
    EXPECT_EQ(write(client.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

  void accept_clients() {
    if (closed_) return;
    for (const auto& listen : handover_.listens) {
      for (UniqueFd client(accept4(listen.fd.get(), nullptr, nullptr, SOCK_NONBLOCK)); client.valid();
           client.reset(accept4(listen.fd.get(), nullptr, nullptr, SOCK_NONBLOCK))) {
        greet(client);
        if (mood("holds")) hold(std::move(client));
      }
    }
  }

  void hold(UniqueFd client) {
    count_client();
    held_.push_back(std::move(client));
  }

  void answer_held() {
    std::erase_if(held_, [this](const UniqueFd& client) {
      char byte;
      const ssize_t got = read(client.get(), &byte, 1);
      if (got == 1) greet(client);
      if (got != 0) return false;
      handover_.metrics->subtract(metrics::Metric::ConnectionsActive, 1);
      return true;
    });
  }

  bool handle(const ipc::Frame& frame) {
    switch (frame.kind) {
      case ipc::Kind::Prepare: return prepare(frame);
      case ipc::Kind::Commit: return commit(frame);
      case ipc::Kind::MoveOut: return move_out(frame);
      case ipc::Kind::MoveIn: return move_in(frame);
      case ipc::Kind::Abort:
        pending_.clear();
        return true;
      case ipc::Kind::Stop:
        stopped_ = true;
        return true;
      case ipc::Kind::ReopenLogs:
        return frame.descriptors->size() == 1;
      default:
        return false;
    }
  }

  bool move_out(const ipc::Frame& frame) {
    ipc::MoveOut message;
    if (!ipc::decode(frame.body, message) || frame.descriptors->size() != 2) return false;
    struct stat page {};
    if (fstat((*frame.descriptors)[1].get(), &page) != 0 || page.st_size != 4096) return false;
    const bool all = message.scope == ipc::MoveScope::All;
    closed_ = closed_ || all;
    const size_t count = all ? held_.size() : std::min<size_t>(held_.size(), message.count);
    const int to = (*frame.descriptors)[0].get();
    for (size_t i = 0; i < count; ++i) send_client(to, held_[i]);
    // The other end says that it has them all by a byte.
    shutdown(to, SHUT_WR);
    pollfd fd{to, POLLIN, 0};
    poll(&fd, 1, -1);
    char byte;
    if (read(to, &byte, 1) != 1) {
      closed_ = false;
      channel_.send(ipc::Moved{.move = message.move, .ok = false, .left = static_cast<uint32_t>(held_.size())});
      return true;
    }
    held_.erase(held_.begin(), held_.begin() + static_cast<ptrdiff_t>(count));
    handover_.metrics->subtract(metrics::Metric::ConnectionsActive, count);
    channel_.send(ipc::Moved{.move = message.move, .moved = static_cast<uint32_t>(count)});
    return true;
  }

  bool move_in(const ipc::Frame& frame) {
    if (mood("refuses")) _exit(7);
    if (frame.descriptors->size() != 2) return false;
    incoming_ = std::move((*frame.descriptors)[0]);
    closed_ = false;
    return true;
  }

  void take_moving() {
    bool gone = !incoming_.valid();
    while (!gone) {
      UniqueFd client = receive_client(incoming_.get(), gone);
      if (gone) {
        send(incoming_.get(), "k", 1, MSG_NOSIGNAL);  // To nobody, if the source died.
        incoming_.reset();
      }
      if (!client.valid()) return;
      hold(std::move(client));
    }
  }

  bool prepare(const ipc::Frame& frame) {
    ipc::Prepare message;
    if (!ipc::decode(frame.body, message)) return false;
    if (frame.descriptors->size() != message.listens.size() + 1) return false;
    std::string text(64 << 10, '\0');
    text.resize(static_cast<size_t>(std::max<ssize_t>(read(frame.descriptors->front().get(), text.data(), text.size()), 0)));
    pending_config_ = config::load_text(text).config;
    for (size_t i = 0; i < message.listens.size(); ++i) {
      pending_.push_back({message.listens[i], std::move((*frame.descriptors)[i + 1])});
    }
    if (text.find("/dies") != text.npos) _exit(9);
    const bool accepted = pending_config_ != nullptr && text.find("/refused") == text.npos;
    channel_.send(ipc::Prepared{message.generation, accepted, accepted ? "" : "it does not please me"});
    return true;
  }

  bool commit(const ipc::Frame& frame) {
    ipc::Commit message;
    if (!ipc::decode(frame.body, message)) return false;
    generation_ = message.generation;
    std::set<uint32_t> wanted;
    for (const auto& server : pending_config_->http.servers) {
      for (const auto& listen : server.listens) wanted.insert(listen.id);
    }
    std::erase_if(handover_.listens, [&](const auto& listen) { return !wanted.contains(listen.id); });
    for (auto& listen : pending_) handover_.listens.push_back(std::move(listen));
    pending_.clear();
    return true;
  }

  ipc::Handover handover_;
  ipc::Channel channel_;
  uint32_t generation_;
  std::shared_ptr<const config::Config> pending_config_;
  std::vector<ipc::InheritedListen> pending_;
  std::vector<UniqueFd> held_;
  UniqueFd incoming_;    // Of a move.
  bool closed_ = false;  // Gave everything away: accepts nobody.
  bool stopped_ = false;
};

int run_worker(ipc::Handover&& handover) {
  const int result = TestWorker(std::move(handover)).run();
  return testing::Test::HasFailure() ? 5 : result;
}

}  // namespace

int run_test_master(const std::string& directory, const Program& program) {
  const auto load = [directory] { return config::load({.path = directory + "/conf"}); };
  const MasterOptions options{.load = load, .worker_main = run_worker, .program = program};
  auto inheritance = take_inheritance();
  if (!inheritance) {
    const auto loaded = load();
    if (!loaded.ok()) return 77;
    Master master(loaded.config, options);
    return master.start() ? master.serve() : 1;
  }
  const auto bytes = read_file(inheritance->state.get());
  const auto state = parse_handover_state(bytes.value());
  const auto loaded = config::load_text(state.value().process.config);
  Master master(loaded.config, options);
  return master.take_over(state.value(), std::move(*inheritance)) ? master.serve() : 1;
}

}  // namespace beamgate::master
