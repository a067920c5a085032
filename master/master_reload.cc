// The master's part of a reload: what is read, bound, sent, and kept or dropped.
#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "common/base/clock.h"
#include "common/base/memory_file.h"
#include "master/master.h"
#include "master/notify.h"

namespace beamgate::master {

void Master::reload() {
  if (stopping_) return;
  if (busy()) {
    reload_again_ = true;
    log_.notice("reload_queued");
    return;
  }
  notify_systemd("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(monotonic_us()));
  const config::LoadResult loaded = options_.load();
  for (const config::Diagnostic& warning : loaded.warnings) {
    log_.warn("config_warning", {{"what", warning.text()}});
  }
  for (const config::Diagnostic& error : loaded.errors) log_.error("config_error", {{"what", error.text()}});
  if (!loaded.ok()) {
    count(metrics::Metric::ReloadsRefused);
    tell(log::Level::Error, "reload_failed", {{"reason", "the configuration is wrong; the running one stays"}});
    after_reload();
    return;
  }
  // Also for slots that are about to go: their workers serve until they have been told.
  const uint16_t slots = std::max(slots_wanted(*loaded.config), slots_listening_);
  if (const auto failure = listens_.prepare(*loaded.config, slots)) {
    count(metrics::Metric::ReloadsRefused);
    tell(log::Level::Error, "reload_failed", {{"reason", failure->error.message()}, {"address", failure->address}});
    after_reload();
    return;
  }
  next_config_ = loaded.config;
  SlotSet members;
  for (uint16_t slot = 0; slot < ipc::kSlotsMax; ++slot) {
    const WorkerState state = supervisor_.state(slot);
    if (state == WorkerState::Starting || state == WorkerState::Ready) members.add(slot);
  }
  changed();
  reload_.begin(next_generation_++, members);
}

// The text as a sealed file in memory; invalid when there is no memory for it.
UniqueFd Master::config_text(const config::Config& config) const {
  auto made = make_memory_file("beamgate-config", config.dump, MFD_ALLOW_SEALING);
  if (!made.ok()) return UniqueFd();
  UniqueFd file = std::move(made).value();
  fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
  return file;
}

void Master::send_prepare(uint16_t slot) {
  if (send_config(slot, next_generation_ - 1, *next_config_, listens_.added(slot))) return;
  reload_.give_up("not enough descriptors or memory to tell the workers");
}

bool Master::send_config(uint16_t slot, uint32_t generation, const config::Config& config,
                         const std::vector<ListenSockets::Borrowed>& listens) {
  ipc::Prepare prepare;
  prepare.generation = generation;
  ipc::Descriptors descriptors;
  descriptors.push_back(config_text(config));
  for (const auto& listen : listens) {
    prepare.listens.push_back(listen.id);
    descriptors.emplace_back(fcntl(listen.descriptor, F_DUPFD_CLOEXEC, 3));
  }
  bool complete = descriptors.size() <= ipc::kFrameDescriptorsMax;
  for (const UniqueFd& descriptor : descriptors) complete = complete && descriptor.valid();
  if (complete) bus_.send(slot, prepare, std::move(descriptors));
  return complete;
}

void Master::commit_reload(const SlotSet& members) {
  changed();
  if (const auto failure = listens_.commit()) {
    log_.error("listen_failed", {{"address", failure->address}, {"error", failure->error.message()}});
  }
  generation_ = next_generation_ - 1;
  const auto before = std::exchange(config_, std::move(next_config_));
  next_config_.reset();
  pages_->switches().reset();
  provide_access_logs();
  members.for_each([this](uint16_t slot) { bus_.send(slot, ipc::Commit{generation_}); });
  adopt_settings(*before);
  check_system();
  tell_restarts();
  if (config_->error_log_path != before->error_log_path) send_error_log();
  const uint16_t slots = slots_wanted(*config_);
  resize(slots);
  for (const std::string& address : listens_.addresses(*config_)) log_.notice("listening", {{"address", address}});
  count(metrics::Metric::ReloadsDone);
  tell(log::Level::Notice, "reloaded", {{"generation", generation_}, {"workers", slots}});
  after_reload();
}

// Again with each reload, as long as it is so.
void Master::tell_restarts() {
  for (const auto& [name, value] : config::restart_settings(config_->dump)) {
    const std::string& running = in_force_[name];
    if (value != running) log_.warn("needs_restart", {{"directive", name}, {"running", running}, {"configured", value}});
  }
}

void Master::abort_reload(const SlotSet& members, const std::string& reason) {
  const uint32_t generation = next_generation_ - 1;
  members.for_each([&](uint16_t slot) { bus_.send(slot, ipc::Abort{generation}); });
  listens_.abort();
  next_config_.reset();
  count(metrics::Metric::ReloadsRefused);
  tell(log::Level::Error, "reload_failed", {{"reason", reason}});
  after_reload();
}

void Master::after_reload() {
  notify_systemd("READY=1");
  next_task();
}

bool Master::busy() const {
  return !serving_ || bus_.recounting() || reload_.running() || resize_.running() || upgrade_.running() || takeover_.running() || repair_.running() ||
         cross_timer_;
}

void Master::next_task() {
  if (stopping_ || busy() || (!reload_again_ && !upgrade_again_ && !repair_.due())) return;
  loop_.after(0, [this] {
    if (stopping_ || busy()) return;
    if (std::exchange(reload_again_, false)) return reload();
    if (std::exchange(upgrade_again_, false)) upgrade();
    if (!busy() && repair_.due()) repair_.begin();
  });
}

// For each column the slot that is wanted now and keeps its place, or else the one of both that is free.
SlotSet Master::slots_for(uint16_t columns) const {
  SlotSet out;
  for (uint16_t slot = 0; slot < columns; ++slot) {
    const uint16_t twin = slot ^ ipc::kTwin;
    const bool stays = supervisor_.wanted().contains(slot) && !repair_.gives_way(slot);
    const bool twin_is_better = !stays && (supervisor_.wanted().contains(twin) || lives(slot));
    out.add(twin_is_better ? twin : slot);
  }
  return out;
}

// Those who go stay wanted until their clients have moved.
void Master::resize(uint16_t columns) {
  changed();
  const SlotSet before = supervisor_.wanted();
  const SlotSet staying = slots_for(columns);
  SlotSet wanted = staying, leaving;
  before.for_each([&](uint16_t slot) {
    if (staying.contains(slot)) return;
    wanted.add(slot);
    if (ipc::column_of(slot) >= columns || !repair_.gives_way(slot)) leaving.add(slot);
  });
  if (columns < slots_listening_) {
    listens_.steer(columns);
  } else {
    slots_listening_ = columns;
    listens_.unsteer();
  }
  supervisor_.want(wanted);
  if (wanted == before && leaving.empty()) return end_if_done();
  resize_.begin(staying, leaving);
}

uint64_t Master::connections(uint16_t slot) const {
  return pages_->metrics(slot).get(metrics::Metric::ConnectionsActive);
}

void Master::resized() {
  changed();
  log_.notice("resized", {{"workers", supervisor_.wanted().size()}});
  end_if_done();
  next_task();
}

void Master::repaired(uint16_t slot) {
  changed();
  count(metrics::Metric::WorkersRepaired);
  tell(log::Level::Notice, "worker_repaired", {{"slot", slot}, {"by", slot ^ ipc::kTwin}, {"left", connections(slot)}});
}

void Master::repair_ended() {
  changed();
  next_task();
}

void Master::send_move_out(uint16_t slot, const ipc::MoveOut& message, ipc::Descriptors descriptors) {
  bus_.send(slot, message, std::move(descriptors));
}

void Master::send_move_in(uint16_t slot, const ipc::MoveIn& message, ipc::Descriptors descriptors) {
  bus_.send(slot, message, std::move(descriptors));
}

}  // namespace beamgate::master
