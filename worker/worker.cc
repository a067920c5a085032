#include "worker/worker.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <string>
#include <unordered_set>
#include <utility>

#include "common/base/clock.h"
#include "common/base/memory_file.h"
#include "common/base/secret.h"
#include "common/config/load.h"
#include "common/ipc/recent.h"
#include "common/ipc/switches.h"
#include "worker/hook/event_store.h"
#include "worker/move/decisions.h"
#include "worker/proto/hook_queue.h"
#include "worker/record/uid.h"
#include "worker/sandbox/refusals.h"

namespace beamgate {
namespace {

using record::Record;

std::shared_ptr<const config::Webhook> webhook_named(const config::Config& config, std::string_view name) {
  const auto& webhooks = config.http.webhooks;
  const auto found = webhooks.find(std::string(name));
  if (found != webhooks.end()) return found->second;
  for (const auto& [app_name, app] : config.http.apps) {
    if (app->webhook != nullptr && app->webhook->name == name) return app->webhook;
  }
  return nullptr;
}

bool listens_to(const config::Config& config, uint32_t id) {
  bool found = false;
  config::for_each_listen(config, [&](const config::Listen& listen) { found = found || listen.id == id; });
  return found;
}

std::unordered_set<uint32_t> announced_listens(const config::Config& config) {
  std::unordered_set<uint32_t> out;
  for (const config::Server& server : config.http.servers) {
    for (const config::Listen& listen : server.listens) {
      if (listen.proxy_protocol) out.insert(listen.id);
    }
  }
  return out;
}

std::unordered_set<uint32_t> line_listens(const config::Config& config) {
  std::unordered_set<uint32_t> out;
  for (const config::LineServer& line : config.lines) {
    for (const config::Listen& listen : line.listens) out.insert(listen.id);
  }
  return out;
}

std::unordered_set<uint32_t> owner_listens(const config::Config& config) {
  std::unordered_set<uint32_t> out;
  config::for_each_listen(config, [&](const config::Listen& listen) {
    if (listen.owner_only) out.insert(listen.id);
  });
  return out;
}

std::shared_ptr<const config::Config> parse(std::string_view text, std::string& reason) {
  config::LoadResult loaded = config::load_text(text, {.resolve_names = false});
  if (!loaded.ok()) reason = config::report(loaded);
  return loaded.config;
}

}  // namespace

Worker::Worker(ipc::Handover&& handover, record::Arena&& arena, net::Poller&& poller, Inherited* inherited)
    : no_life_(handover.life == nullptr ? std::make_unique<ipc::Life>() : nullptr),
      life_(no_life_ != nullptr ? *no_life_ : *handover.life),
      life_line_(handover.life),
      log_("worker"),
      addresses_(handover.addresses),
      counted_keys_(handover.counted_keys),
      address_seed_(handover.address_seed),
      metrics_(*handover.metrics),
      settings_(std::move(handover.config)),
      arena_(std::move(arena)),
      poller_(std::move(poller)),
      connections_(arena_, poller_, metrics_, handover.worker),
      bus_(loop_, arena_, std::move(handover.bus), life_, metrics_, log_, *this),
      remote_(loop_, bus_),
      delivery_(loop_, connections_, metrics_, log_,
                [this](uint64_t call, const ipc::Receipt& receipt) {
                  bus_.send(ipc::Reply{.call = call, .body = ipc::encode(receipt)});
                }),
      hub_(arena_, bus_, delivery_, metrics_),
      webhooks_(hook::make_webhooks(loop_, log_, metrics_, arena_)),
      context_{.slot = handover.slot,
               .worker = handover.worker,
               .generation = handover.generation,
               .loop = loop_,
               .log = log_,
               .metrics = metrics_,
               .metrics_all = handover.metrics_all,
               .settings = settings_,
               .arena = arena_,
               .poller = poller_,
               .connections = connections_,
               .rates = handover.rates,
               .switches = handover.switches,
               .recent = handover.recent,
               .address_seed = handover.address_seed,
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
      farewell_timer_(loop_, [this] { finish_events(); }),
      terminate_(loop_, SIGTERM, [this] { on_stop(false); }),
      quit_(loop_, SIGQUIT, [this] { on_stop(true); }),
      full_pauses_(handover.metrics->get(metrics::Metric::AcceptPausesFull)),
      generation_(handover.generation),
      config_text_(std::move(handover.config_text)) {
  const config::Config& config = settings_.current();
  log_.inherit(std::move(handover.log), config.error_log_path, config.error_log_level);
  log_.set_on_lost([this] { metrics_.add(metrics::Metric::ErrorLogLinesLost); });
  if (context_.recent != nullptr) {
    log_.set_on_line([this](log::Level level, std::string_view text) {
      if (level <= log::Level::Warn) context_.recent->troubles[context_.slot].add(wall_ms(), getpid(), level, text);
    });
  }
  layers_->wire(delivery_);
  remote_.serve(hub::Method::Events, [this](std::string_view body) { return take_events(body); });
  connections_.set_life(life_);
  connections_.set_tls(layers_->tls_contexts(), handover.tickets);
  apply_limits();
  // Nothing of what a predecessor left is undone any more: from here on its successor would take over from us.
  inherited != nullptr ? adopt(*inherited) : say_hello();
  arena_.journal().open_always();
  listen(std::move(handover.listens));
  if (inherited != nullptr && inherited->accepted) take_accepted(std::move(*inherited->accepted));
  bequeath();
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
  bus_.send(ipc::Ready{.generation = generation_});
  life_line_.heartbeat(monotonic_ms());
  life_line_.set_serving();
  metrics_.set(metrics::Metric::Workers, 1);
  loop_.run();
  return 0;
}

// --- Coming and going.

void Worker::say_hello() {
  bus_.send(ipc::Hello{.worker = context_.worker, .pid = static_cast<uint32_t>(getpid())});
}

void Worker::adopt(Inherited& inherited) {
  const int64_t began_us = monotonic_us();
  record::Arena& from = inherited.arena;
  metrics::reset_gauges(metrics_);
  if (!bus_.adopt(from)) log_.error("bus_queue_damaged", {});
  say_hello();  // From here on the master doubts members that it isn't told of again, until JoinedAll.
  hook::EventStore(arena_).copy_from(from);
  webhooks_->adopt_events([this](std::string_view name) { return webhook_named(settings_.current(), name); });
  proto::HookQueue queue(arena_);
  const auto adopted = connections_.adopt_all(
      from, life_.now, is_to_blame(inherited), inherited.restored,
      [](const Record& old) { return move::is_ours(old.move_page, old.move_place); },
      [&](const Record& old, Record& record) {
        return hub_.copy_from(from, old, record) && queue.copy_from(from, old, record);
      });
  hub_.tell_all_members(false);
  bus_.send(ipc::JoinedAll{});
  for (const int page : pages_of(from)) close(page);
  note_poison(inherited.death);
  report(inherited, adopted, began_us);
  life_.now = {};
  life_.death = ipc::kDeathKilled;
}

// Whether the connection that was being served has killed the worker.
bool Worker::is_to_blame(const Inherited& inherited) {
  constexpr uint32_t kDeathsMax = 3;
  const ipc::Life::Now& now = life_.now;
  const bool known = now.uid != 0 && now.slot < inherited.arena.slots();
  const uint64_t bytes_received = known ? inherited.arena.records()[now.slot].bytes_received : 0;
  if (inherited.death != ipc::kDeathKilled || !known) {
    life_.suspect = {};
    return inherited.death != ipc::kDeathKilled;
  }
  ipc::Life::Suspect& suspect = life_.suspect;
  if (suspect.uid != now.uid || suspect.bytes_received != bytes_received) suspect = {now.uid, bytes_received, 0};
  return ++suspect.deaths >= kDeathsMax;
}

void Worker::note_poison(int32_t death) {
  const uint64_t position = life_.now.bus_position;
  if (death == ipc::kDeathKilled || position == 0) return;
  if (life_.poison.bus_position != position) life_.poison = {position, 0};
  ++life_.poison.deaths;
  log_.error("bus_frame_blamed", {{"position", position}, {"deaths", life_.poison.deaths}, {"signal", death}});
}

void Worker::report(const Inherited& inherited, const net::Connections::Adopted& adopted, int64_t began_us) {
  metrics_.add(metrics::Metric::WorkerAdoptions);
  metrics_.add(metrics::Metric::ConnectionsAdopted, adopted.connections);
  metrics_.add(metrics::Metric::ConnectionsLostRequest, adopted.requests);
  metrics_.add(metrics::Metric::ConnectionsLostTls, adopted.tls);
  metrics_.add(metrics::Metric::ConnectionsLostBlamed, adopted.blamed);
  metrics_.add(metrics::Metric::ConnectionsLostUnreadable, adopted.lost);
  for (const uint64_t uid : adopted.lost_uids) {
    log_.warn("connection_lost", {{"connection", record::format_uid_or_none(uid)}});
  }
  const ipc::Life::Now& now = life_.now;
  if (adopted.blamed > 0) {
    log_.error("connection_blamed", {{"connection", record::format_uid(now.uid)},
                                     {"doing", ipc::name_of(now.doing)},
                                     {"signal", inherited.death}});
  }
  log_.notice("worker_adopted", {{"connections", adopted.connections},
                                 {"lost", adopted.lost + adopted.requests},
                                 {"closed", adopted.blamed},
                                 {"closed_tls", adopted.tls},
                                 {"us", monotonic_us() - began_us}});
}

// What a successor would take over.
void Worker::bequeath() {
  if (arena_.descriptor() < 0) return;
  ipc::Inheritance inheritance;
  inheritance.arena = arena_.descriptor();
  inheritance.poller = poller_.fd();
  inheritance.log = log_.descriptor() == 2 ? -1 : log_.descriptor();
  inheritance.config = config_text_.valid() ? config_text_.get() : -1;
  inheritance.generation = generation_;
  for (const auto& listener : listeners_) {
    if (inheritance.listen_count == ipc::Inheritance::kListensMax) break;
    inheritance.listens[inheritance.listen_count++] = {listener->id(), listener->fd()};
  }
  life_line_.inherit(inheritance);
}

// Runs before the loop sleeps: what this turn has gathered goes out.
void Worker::end_turn() {
  connections_.end_turn();
  layers_->end_turn();
  moves_.end_turn();
  arena_.commit_turn();
  bus_.end_turn();
  arena_.commit_turn();
  if (connections_.has_pending_turn() || layers_->has_pending_turn()) {
    if (!more_work_.active()) more_work_.start();
  } else if (more_work_.active()) {
    more_work_.stop();
  }
  if (connections_.has_waiting_round() && !next_round_.active()) next_round_.start(1);
}

void Worker::tick() {
  const int64_t now = monotonic_ms();
  life_line_.heartbeat(now);
  connections_.tick(now);
  layers_->set_short_of_memory(memory_.reached(settings_.current().memory_limit_bytes));
  moves_.tick();
  follow_log_level();
  tell_refusals();
  log_.report_repeats();
  arena_.trim();
  tell_vitals();
  if (state_ == State::Serving) {
    tell_full();
    for (auto& listener : listeners_) {
      if (!emptied_by_ && connections_.has_room(listener->id())) listener->start();
    }
    return;
  }
  if (state_ == State::Draining && (connections_.active() == 0 || now >= drain_until_ms_)) close_everything();
}

void Worker::follow_log_level() {
  const log::Level configured = settings_.current().error_log_level;
  log_.set_level(context_.switches == nullptr ? configured : context_.switches->log_level(configured));
}

// Clients wait then, or give up; whoever reads the log shall not have to look at metrics for it.
void Worker::tell_full() {
  const uint64_t pauses = metrics_.get(metrics::Metric::AcceptPausesFull);
  const int64_t now_ms = monotonic_ms();
  if (pauses == full_pauses_ || now_ms < tell_full_from_ms_) return;
  full_pauses_ = pauses;
  tell_full_from_ms_ = now_ms + kTellFullMs;
  log_.write(log::Level::Alert, "worker_connections_full",
             {{"connections", connections_.active()}, {"worker_connections", arena_.slots() - net::kReservedConnections}});
}

void Worker::tell_refusals() {
  const sandbox::Refusals refused = sandbox::take_refusals();
  if (refused.calls == 0) return;
  metrics_.add(metrics::Metric::SystemCallsRefused, refused.calls);
  for (const int number : refused.numbers) {
    log_.warn("system_call_refused", {{"call", sandbox::name_of(number)}, {"number", number}});
  }
}

void Worker::tell_vitals() {
  vitals_.tick(monotonic_us(), net::TimerWheel::kTickMs,
               {.connections = connections_.active(),
                .arena_bytes = arena_.bytes_live(),
                .bus_queue_bytes = bus_.queued_bytes()});
}

void Worker::listen(std::vector<ipc::InheritedListen>&& sockets) {
  for (ipc::InheritedListen& socket : sockets) {
    const bool known = std::any_of(listeners_.begin(), listeners_.end(),
                                   [&](const auto& listener) { return listener->id() == socket.id; });
    if (known) continue;  // A successor that is told everything once more.
    listeners_.push_back(std::make_unique<net::Listener>(socket.id, std::move(socket.fd), poller_, connections_,
                                                         metrics_));
    if (!emptied_by_) listeners_.back()->start();
  }
}

// It may stand in the epoll set already, with a token of the dead worker's.
void Worker::take_accepted(Accepted&& accepted) {
  poller_.remove_client(accepted.client.get());
  net::Listener::take(connections_, std::move(accepted.client), accepted.listen_id);
}

void Worker::apply_limits() {
  const config::Config& config = settings_.current();
  // What the arena was made for: a reload changes nothing of it.
  connections_.set_limits({.per_worker = arena_.slots() - net::kReservedConnections,
                           .per_address = config.connections_per_address,
                           .addresses = addresses_,
                           .keys = counted_keys_,
                           .slot = context_.slot,
                           .address_seed = address_seed_,
                           .announced = announced_listens(config),
                           .lines = line_listens(config)});
  connections_.set_reserve(net::kReservedConnections, owner_listens(config));
  life_line_.set_watchdog(config.worker_watchdog_ms);
}

// --- Reload.

void Worker::on_prepare(const ipc::Prepare& message, ipc::Descriptors& descriptors) {
  std::string reason = "the message came without its descriptors";
  Prepared prepared{.generation = message.generation};
  if (descriptors.size() == message.listens.size() + 1) {
    Secret text;
    const auto read = read_memory_file(descriptors[0].get(), config::kTextBytesMax, text);
    reason = read.ok() ? "" : read.error().message();
    if (read.ok()) prepared.config = parse(text, reason);
  }
  if (prepared.config != nullptr) {
    for (size_t i = 0; i < message.listens.size(); ++i) {
      prepared.listens.push_back({message.listens[i], std::move(descriptors[i + 1])});
    }
    prepared.text = std::move(descriptors[0]);
    prepared_ = std::move(prepared);
  }
  bus_.send(ipc::Prepared{
      .generation = message.generation, .accepted = reason.empty(), .reason = reason});
}

void Worker::on_commit(uint32_t generation) {
  if (!prepared_ || prepared_->generation != generation) return;
  Prepared prepared = std::move(*prepared_);
  prepared_.reset();
  const UniqueFd old_text = std::exchange(config_text_, std::move(prepared.text));
  generation_ = generation;
  std::unordered_set<uint32_t> in_use;
  connections_.for_each([&](Record& record) { in_use.insert(record.location_id); });
  settings_.use(prepared.config, in_use);
  layers_->follow();
  std::vector<std::unique_ptr<net::Listener>> gone;  // Closed when nobody would inherit them any more.
  for (auto& listener : listeners_) {
    if (!listens_to(*prepared.config, listener->id())) gone.push_back(std::move(listener));
  }
  std::erase(listeners_, nullptr);
  if (state_ == State::Serving) listen(std::move(prepared.listens));
  apply_limits();
  follow_log_level();
  bequeath();
  context_.generation = generation;
  log_.info("configuration_in_force", {{"generation", generation}});
}

void Worker::on_abort(uint32_t generation) {
  if (prepared_ && prepared_->generation == generation) prepared_.reset();
}

// The master has opened the error log, which a worker may lack the right to.  Its number stays, since a successor
// inherits that.
void Worker::on_reopen_logs(ipc::Descriptors& descriptors) {
  const config::Config& config = settings_.current();
  const bool had_own = log_.descriptor() != 2;
  if (!descriptors.empty() && (had_own || config.error_log_path != "stderr")) {
    log_.replace(std::move(descriptors[0]), config.error_log_path, config.error_log_level);
    if (!had_own) bequeath();
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

// Whoever is given connections is to stay.
void Worker::on_move_in(ipc::Descriptors& descriptors) {
  emptied_by_.reset();
  moves_.in(descriptors);
}

void Worker::on_moved(const ipc::Moved& message) {
  if (!message.ok && emptied_by_ == message.move) emptied_by_.reset();
  metrics_.add(metrics::Metric::ConnectionsMoved, message.moved);
  log_.info("connections_moved", {{"move", message.move}, {"moved", message.moved}, {"left", message.left},
                                  {"reason", message.ok ? "" : message.reason}});
  bus_.send(message);
}

// What the dead master had begun has no end.  A move goes on between the workers; nobody is emptied by it.
void Worker::on_recount() {
  prepared_.reset();
  emptied_by_.reset();
  log_.notice("master_replaced", {});
  bus_.send(ipc::KnownAll{.generation = generation_});
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

// WebSockets get their Close spread over the time there is, so that the clients don't come back all at once.  Those
// that a move has left here go on for half of it: a successor is there, and nothing hurries them.
void Worker::drain() {
  constexpr int64_t kPerConnectionMs = 5;
  state_ = State::Draining;
  moves_.stop();
  const auto gone = std::exchange(listeners_, {});
  bequeath();  // Before they close.
  const int64_t time_ms = settings_.current().worker_shutdown_timeout_ms;
  drain_until_ms_ = monotonic_ms() + time_ms;
  if (emptied_by_) return layers_->finish_what_stays(time_ms / 2, time_ms * 8 / 10);
  layers_->drain(std::min(time_ms * 8 / 10, int64_t{connections_.active()} * kPerConnectionMs));
}

void Worker::close_everything() {
  if (state_ == State::Closing) return;
  state_ = State::Closing;
  moves_.stop();
  life_line_.set_leaving();
  listeners_.clear();
  layers_->drain(0);
  connections_.end_turn();
  connections_.for_each([this](Record& record) { connections_.close_now(record); });
  close_until_ms_ = monotonic_ms() + kEventsMs;
  webhooks_->drain(close_until_ms_, [] {});
  // One that has given its connections away has nobody to tell of, and its master may be of a build before Farewell.
  const bool says_farewell = !emptied_by_ && !bus_.lost();
  if (says_farewell) bus_.send(ipc::Farewell{});
  farewell_timer_.start(says_farewell ? kEventsMs : 0);
}

// What it was to tell of others' going is here.
void Worker::on_farewell_ack() {
  if (state_ == State::Closing && farewell_timer_.active()) finish_events();
}

void Worker::finish_events() {
  farewell_timer_.stop();
  webhooks_->drain(close_until_ms_, [this] { leave_events(); });
}

// "1", or nothing: this worker goes, too.
std::string Worker::take_events(std::string_view body) {
  const auto find = [this](std::string_view name) { return webhook_named(settings_.current(), name); };
  return state_ == State::Serving && webhooks_->take_events(body, find) ? "1" : "";
}

// What could not be delivered, since its application is away, goes to a worker that stays.
void Worker::leave_events() {
  size_t events = 0;
  const std::string body = webhooks_->leave_events(events);
  if (events == 0) return finish();
  const auto lost = [this, events] {
    metrics_.add(metrics::Metric::WebhookEventsLost, events);
    log_.error("webhook_events_lost", {{"at_least", events}});
    finish();
  };
  const bool asked = remote_.ask_heir(hub::Method::Events, body, [this, events, lost](std::vector<hub::Answer>&& answers) {
    if (answers.empty() || answers.front().body.empty()) return lost();
    webhooks_->forget_events(events);
    leave_events();
  });
  if (!asked) lost();
}

void Worker::finish() {
  bus_.end_turn();
  loop_.stop();
}

}  // namespace beamgate
