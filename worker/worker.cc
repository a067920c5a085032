#include "worker/worker.h"

#include <sys/stat.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <unordered_set>
#include <utility>

#include "common/base/clock.h"
#include "common/config/load.h"

namespace beamgate {
namespace {

using record::Record;

// The whole of a memfd.
Result<std::string> read_all(int fd) {
  struct stat status {};
  if (fstat(fd, &status) != 0) return system_error("can't look at the configuration");
  std::string text(static_cast<size_t>(status.st_size), '\0');
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = pread(fd, text.data() + done, text.size() - done, static_cast<off_t>(done));
    if (got <= 0) return system_error("can't read the configuration");
    done += static_cast<size_t>(got);
  }
  return text;
}

bool listens_to(const config::Config& config, uint32_t id) {
  for (const config::Server& server : config.http.servers) {
    for (const config::Listen& listen : server.listens) {
      if (listen.id == id) return true;
    }
  }
  return false;
}

std::shared_ptr<const config::Config> parse(std::string_view text, std::string& reason) {
  config::LoadResult loaded = config::load_text(text, {.resolve_names = false});
  if (!loaded.ok()) reason = config::report(loaded);
  return loaded.config;
}

}  // namespace

Worker::Worker(ipc::Handover&& handover, record::Arena&& arena, net::Poller&& poller)
    : log_("worker"),
      addresses_(handover.addresses),
      address_seed_(handover.address_seed),
      metrics_(*handover.metrics),
      settings_(handover.config),
      arena_(std::move(arena)),
      poller_(std::move(poller)),
      connections_(arena_, poller_, metrics_, handover.worker),
      bus_(loop_, std::move(handover.bus), metrics_, *this),
      remote_(bus_),
      delivery_(connections_, log_),
      hub_(arena_, bus_, delivery_, metrics_),
      webhooks_(hook::make_webhooks(loop_, log_, metrics_, arena_)),
      context_{.slot = handover.slot,
               .worker = handover.worker,
               .loop = loop_,
               .log = log_,
               .metrics = metrics_,
               .metrics_all = handover.metrics_all,
               .settings = settings_,
               .arena = arena_,
               .poller = poller_,
               .connections = connections_,
               .hub = hub_,
               .remote = remote_,
               .webhooks = *webhooks_,
               .started_ms = handover.started_ms},
      layers_(std::make_unique<Layers>(context_)),
      moves_(context_, [this](const ipc::Moved& message) { on_moved(message); }),
      before_poll_(loop_, [this] { end_turn(); }),
      more_work_(loop_, [] {}),
      next_round_(loop_, [] {}),
      ticker_(loop_, [this] { tick(); }),
      terminate_(loop_, SIGTERM, [this] { on_stop(false); }),
      quit_(loop_, SIGQUIT, [this] { on_stop(true); }),
      generation_(handover.generation) {
  const config::Config& config = settings_.current();
  log_.inherit(std::move(handover.log), config.error_log_path, config.error_log_level);
  delivery_.set_websockets(layers_->websockets());
  apply_limits();
  listen(std::move(handover.listens));
}

// The parts end in reverse; what they still hold of connections has to go first.
Worker::~Worker() {
  moves_.stop();
  listeners_.clear();
  connections_.for_each([this](Record& record) { connections_.close_now(record); });
}

int Worker::run() {
  auto watcher = uv::PollWatcher::open(loop_, poller_.fd(), [this](uv::PollWatcher::Ready) {
    poller_.dispatch();
  });
  if (!watcher.ok()) {
    log_.write(log::Level::Emerg, "worker_start_failed", {{"reason", watcher.error().message()}});
    return 1;
  }
  poller_watcher_ = std::move(watcher).value();
  poller_watcher_->watch(true, false);
  before_poll_.start();
  ticker_.start_repeating(net::TimerWheel::kTickMs);
  bus_.start(hub_, remote_);
  bus_.send(ipc::Hello{.worker = context_.worker, .pid = static_cast<uint32_t>(getpid())});
  bus_.send(ipc::Ready{.generation = generation_});
  loop_.run();
  return 0;
}

// Runs before the loop sleeps: what this turn has gathered goes out.
void Worker::end_turn() {
  connections_.end_turn();
  layers_->end_turn();
  moves_.end_turn();
  bus_.end_turn();
  if (connections_.has_pending_turn()) {
    if (!more_work_.active()) more_work_.start();
  } else if (more_work_.active()) {
    more_work_.stop();
  }
  if (connections_.has_waiting_round() && !next_round_.active()) next_round_.start(1);
}

void Worker::tick() {
  const int64_t now = monotonic_ms();
  connections_.tick(now);
  moves_.tick();
  if (state_ == State::Serving) {
    if (connections_.has_room() && !emptied_by_) {
      for (auto& listener : listeners_) listener->start();
    }
    return;
  }
  if (state_ == State::Draining && (connections_.active() == 0 || now >= drain_until_ms_)) close_everything();
}

void Worker::listen(std::vector<ipc::InheritedListen>&& sockets) {
  for (ipc::InheritedListen& socket : sockets) {
    listeners_.push_back(std::make_unique<net::Listener>(socket.id, std::move(socket.fd), poller_, connections_,
                                                         metrics_));
    if (!emptied_by_) listeners_.back()->start();
  }
}

void Worker::apply_limits() {
  const config::Config& config = settings_.current();
  connections_.set_limits({.per_worker = std::min(config.worker_connections, arena_.slots()),
                           .per_address = config.connections_per_address,
                           .addresses = addresses_,
                           .slot = context_.slot,
                           .address_seed = address_seed_});
}

// --- Reload.

void Worker::on_prepare(const ipc::Prepare& message, ipc::Descriptors& descriptors) {
  std::string reason = "the message came without its descriptors";
  Prepared prepared{.generation = message.generation};
  if (descriptors.size() == message.listens.size() + 1) {
    const auto text = read_all(descriptors[0].get());
    reason = text.ok() ? "" : text.error().message();
    if (text.ok()) prepared.config = parse(text.value(), reason);
  }
  if (prepared.config != nullptr) {
    for (size_t i = 0; i < message.listens.size(); ++i) {
      prepared.listens.push_back({message.listens[i], std::move(descriptors[i + 1])});
    }
    prepared_ = std::move(prepared);
  }
  bus_.send(ipc::Prepared{
      .generation = message.generation, .accepted = reason.empty(), .reason = reason});
}

void Worker::on_commit(uint32_t generation) {
  if (!prepared_ || prepared_->generation != generation) return;
  Prepared prepared = std::move(*prepared_);
  prepared_.reset();
  generation_ = generation;
  std::unordered_set<uint32_t> in_use;
  connections_.for_each([&](Record& record) { in_use.insert(record.location_id); });
  settings_.use(prepared.config, in_use);
  std::erase_if(listeners_, [&](const auto& listener) { return !listens_to(*prepared.config, listener->id()); });
  if (state_ == State::Serving) listen(std::move(prepared.listens));
  apply_limits();
  log_.info("configuration_in_force", {{"generation", generation}});
}

void Worker::on_abort(uint32_t generation) {
  if (prepared_ && prepared_->generation == generation) prepared_.reset();
}

void Worker::on_reopen_logs() {
  if (const auto reopened = log_.reopen(); !reopened.ok()) {
    log_.error("log_reopen_failed", {{"reason", reopened.error().message()}});
  }
  layers_->reopen_logs();
}

// --- Moving.

void Worker::on_move_out(const ipc::MoveOut& message, ipc::Descriptors& descriptors) {
  if (message.scope == ipc::MoveScope::All) {
    emptied_by_ = message.move;
    for (auto& listener : listeners_) listener->pause();
  }
  moves_.out(message, descriptors);
}

void Worker::on_move_in(ipc::Descriptors& descriptors) { moves_.in(descriptors); }

void Worker::on_moved(const ipc::Moved& message) {
  if (!message.ok && emptied_by_ == message.move) emptied_by_.reset();
  log_.info("connections_moved", {{"move", message.move}, {"moved", message.moved}, {"left", message.left},
                                  {"reason", message.ok ? "" : message.reason}});
  bus_.send(message);
}

// --- Stopping.

void Worker::on_bus_lost() {
  log_.error("master_gone", {});
  on_stop(true);
}

void Worker::on_stop(bool graceful) {
  if (!graceful) return close_everything();
  if (state_ == State::Serving) drain();
}

// WebSockets get their Close spread over the time there is, so that the clients don't come back all at once.
void Worker::drain() {
  constexpr int64_t kPerConnectionMs = 5;
  state_ = State::Draining;
  moves_.stop();
  listeners_.clear();
  const int64_t time_ms = settings_.current().worker_shutdown_timeout_ms;
  drain_until_ms_ = monotonic_ms() + time_ms;
  layers_->drain(std::min(time_ms * 8 / 10, int64_t{connections_.active()} * kPerConnectionMs));
}

void Worker::close_everything() {
  if (state_ == State::Closing) return;
  state_ = State::Closing;
  moves_.stop();
  listeners_.clear();
  layers_->drain(0);
  connections_.end_turn();
  connections_.for_each([this](Record& record) { connections_.close_now(record); });
  webhooks_->drain(monotonic_ms() + kEventsMs, [this] { finish(); });
}

void Worker::finish() {
  bus_.end_turn();
  loop_.stop();
}

}  // namespace beamgate
