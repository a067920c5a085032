// Our own records of TLS 1.3: keys change before they have sealed too much, whichever way the bytes leave.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <vector>

#include "common/tls/record_layer.h"
#include "worker/net/connections.h"
#include "worker/record/tls_state.h"

namespace beamgate::net {
namespace {

using record::Record;
using tls::RecordLayer;

constexpr uint64_t kLast = RecordLayer::kRecordsPerKey - 1;

class Quiet : public PhaseHandler {
 public:
  size_t on_bytes(Record&, std::span<const char> bytes) override { return bytes.size(); }
  void on_end(Record&) override {}
  void on_drained(Record&) override {}
  void on_deadline(Record&) override {}
  void on_gone(Record&) override {}
};

// A connection whose keys have sealed all that they may but for one record, and its peer.
class OwnRecords : public testing::Test {
 protected:
  OwnRecords()
      : arena_(std::move(record::Arena::map(UniqueFd(), 8)).value()),
        poller_(std::move(Poller::create()).value()),
        connections_(std::make_unique<Connections>(arena_, poller_, page_, uint16_t{1})) {
    connections_->set_handler(record::Phase::Http, quiet_);
    int ends[2];
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    socket_.reset(ends[1]);
    Peer peer;
    peer.address.ss_family = AF_UNIX;
    record_ = connections_->adopt(UniqueFd(ends[0]), peer, 1);
    record::TlsState state;
    state.protection.progress.sealed = kLast;
    for (size_t i = 0; i < tls::kSecretBytesMax; ++i) {
      state.protection.own_secret[i] = static_cast<uint8_t>(i);
      state.protection.peer_secret[i] = static_cast<uint8_t>(200 - i);
    }
    EXPECT_TRUE(connections_->restore_tls(*record_, state, {}, tls::Negotiated().pack()));
    memcpy(peer_.peer_secret, state.protection.own_secret, sizeof peer_.peer_secret);
    memcpy(peer_.own_secret, state.protection.peer_secret, sizeof peer_.own_secret);
    peer_.progress.opened = kLast;
  }
  ~OwnRecords() override {
    connections_.reset();
    EXPECT_EQ(arena_.bytes_live(), 0u);
  }

  void turn() {
    poller_.dispatch();
    connections_->end_turn();
  }

  // What has come, opened; each record is one that the peer's keys fit, or there is a failure.
  std::string heard() {
    std::vector<char> sealed(1 << 20), into(1 << 20);
    const ssize_t got = recv(socket_.get(), sealed.data(), sealed.size(), 0);
    if (got <= 0) return {};
    const auto opened = layer_.open(peer_, {sealed.data(), static_cast<size_t>(got)}, into);
    EXPECT_FALSE(opened.failure) << opened.reason;
    EXPECT_EQ(opened.used, static_cast<size_t>(got));
    return {into.data(), opened.plaintext};
  }

  std::string heard_in_turns(int turns) {
    std::string all;
    for (; turns > 0; --turns) {
      turn();
      all += heard();
    }
    return all;
  }

  // The key update has been counted as a record of the old keys, and the peer has followed.
  void expect_new_keys(uint64_t records) {
    EXPECT_EQ(peer_.progress.key_updates, 0) << "data came behind it";
    EXPECT_EQ(peer_.progress.opened, records) << "of the new keys";
    EXPECT_EQ(connections_->tls_state(*record_).protection.progress.sealed, records);
    EXPECT_EQ(memcmp(connections_->tls_state(*record_).protection.own_secret, peer_.peer_secret, 32), 0);
  }

  metrics::Page page_{};
  record::Arena arena_;
  Poller poller_;
  Quiet quiet_;
  std::unique_ptr<Connections> connections_;
  UniqueFd socket_;
  Record* record_ = nullptr;
  tls::Protection peer_;
  RecordLayer layer_;
};

TEST_F(OwnRecords, KeysChangeBetweenTwoMessages) {
  ASSERT_TRUE(connections_->send(*record_, "the last of the old keys"));
  turn();
  std::string all = heard();
  ASSERT_TRUE(connections_->send(*record_, ", the first of the new"));
  turn();
  turn();
  all += heard();
  EXPECT_EQ(all, "the last of the old keys, the first of the new");
  expect_new_keys(1);
}

// A batch may take the keys over the mark, by as many records as it has; not more.
TEST_F(OwnRecords, KeysChangeInALargeBacklog) {
  const std::string large(200'000, 'x');
  ASSERT_TRUE(connections_->send(*record_, large));
  const std::string all = heard_in_turns(20);
  EXPECT_EQ(all == large, true) << all.size();
  expect_new_keys(RecordLayer::records_for(large.size() - record::TlsState::kBatchBytesMax));
}

TEST_F(OwnRecords, KeysChangeInWhatIsSentThrough) {
  const std::string large(100'000, 'x');
  ASSERT_TRUE(connections_->send_through(*record_, large));
  const std::string all = heard_in_turns(20);
  EXPECT_EQ(all == large, true) << all.size();
  expect_new_keys(RecordLayer::records_for(large.size() - record::TlsState::kBatchBytesMax));
}

TEST_F(OwnRecords, KeysChangeInAFile) {
  const UniqueFd file(memfd_create("file", MFD_CLOEXEC));
  const std::string large(200'000, 'x');
  ASSERT_EQ(write(file.get(), large.data(), large.size()), static_cast<ssize_t>(large.size()));
  off_t offset = 0;
  std::string all;
  for (int i = 0; i < 40 && all.size() < large.size(); ++i) {
    const auto sent = connections_->send_file(*record_, file.get(), offset, large.size() - static_cast<size_t>(offset));
    ASSERT_TRUE(sent.ok() || sent.error().code == Code::WouldBlock);
    turn();
    all += heard();
  }
  EXPECT_EQ(all == large, true) << all.size();
  EXPECT_LT(peer_.progress.opened, 20u);
}

}  // namespace
}  // namespace beamgate::net
