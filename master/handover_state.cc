#include "master/handover_state.h"

#include <sys/socket.h>

#include <algorithm>

#include "common/base/bytes.h"
#include "common/base/memory_file.h"
#include "common/ipc/handover.h"
#include "common/ipc/messages.h"
#include "common/ipc/wire.h"
#include "common/log/log.h"
#include "master/hub/slot_set.h"
#include "master/worker_state.h"

namespace beamgate::master {
namespace {

constexpr std::string_view kMagic = "BGMS";
constexpr size_t kHeaderBytes = 4 + 2 + 2 + 4 + 8;
constexpr size_t kItemHeaderBytes = 2 + 4;
constexpr uint16_t kCritical = 0x8000;
constexpr size_t kFileBytesMax = size_t{4} << 30;

enum class Item : uint16_t {
  Process = kCritical | 1,
  Listen = kCritical | 2,
  Slot = kCritical | 3,
  Channel = kCritical | 4,
  Receipt = 5,
  Call = 6,
  Kin = 7,
  Publication = 8,
  Member = 9,
  Journal = 10,
  UserChange = 11,
  Event = 12,
  Presence = 13,
};

template <typename T>
void append(std::string& out, T value) {
  ipc::Encoder{out}(value);
}

template <typename Record>
void append_item(std::string& out, uint32_t& items, Item type, const Record& record) {
  append(out, static_cast<uint16_t>(type));
  const size_t length_at = out.size();
  append(out, uint32_t{0});
  const size_t start = out.size();
  ipc::Encoder encoder(out);
  Record::visit(encoder, record);
  store_le(out.data() + length_at, static_cast<uint32_t>(out.size() - start));
  ++items;
}

template <typename Record>
void append_items(std::string& out, uint32_t& items, Item type, const std::vector<Record>& records) {
  for (const Record& record : records) append_item(out, items, type, record);
}

// Every descriptor in the state, in an order that only this says.
template <typename State, typename Visit>
void visit_descriptors(State& state, Visit visit) {
  visit(state.process.pages);
  visit(state.process.lives);
  if (state.process.log >= 0) visit(state.process.log);
  for (auto& listen : state.listens) {
    for (auto& socket : listen.sockets) visit(socket);
  }
  for (auto& slot : state.slots) {
    if (slot.bus >= 0) visit(slot.bus);
  }
}

Error invalid(const char* what) { return Error{Code::Invalid, 0, what}; }

bool slots_are_sane(const std::vector<uint16_t>& slots) {
  return std::all_of(slots.begin(), slots.end(), [](uint16_t slot) { return slot < ipc::kSlotsMax; });
}

bool is_sane(const HandoverState::Process& process) {
  return process.columns > 0 && process.columns <= ipc::kWorkersMax && process.next_worker > 0 && process.pages > 2 &&
         process.lives > 2 && (process.log == -1 || process.log > 2);
}

bool is_sane(const HandoverState::Kin& kin) {
  return kin.keeper >= 0 && std::all_of(kin.groups.begin(), kin.groups.end(), [](int32_t group) { return group > 0; });
}

bool is_sane(const HandoverState::Listen& listen) {
  return listen.address.size() >= sizeof(sa_family_t) && listen.address.size() <= sizeof(sockaddr_storage) &&
         !listen.sockets.empty() && listen.sockets.size() <= ipc::kWorkersMax &&
         std::all_of(listen.sockets.begin(), listen.sockets.end(), [](int32_t fd) { return fd > 2; });
}

bool is_sane(const HandoverState::Slot& slot) {
  const bool lives = slot.state != static_cast<uint8_t>(WorkerState::Exited);
  return slot.slot < ipc::kSlotsMax && slot.pid >= 0 && slot.state <= static_cast<uint8_t>(WorkerState::Draining) &&
         lives == (slot.pid > 0) && (slot.bus == -1 || (slot.bus > 2 && lives));
}

bool is_sane(const HandoverState::Channel& channel) {
  return !channel.name.empty() && channel.name.size() <= ipc::kChannelNameBytesMax && slots_are_sane(channel.interested);
}

bool is_sane(const HandoverState::Receipt& receipt) { return receipt.key.find('\0') != receipt.key.npos; }

bool is_sane(const HandoverState::Publication& publication) {
  return !publication.channel.empty() && publication.kind <= static_cast<uint8_t>(ipc::PayloadKind::Json);
}

bool is_sane(const HandoverState::Member& member) {
  return !member.channel.empty() && member.slot < ipc::kSlotsMax && member.user.size() <= ipc::kUserBytesMax &&
         member.info.size() <= ipc::kMemberInfoBytesMax;
}

bool is_sane(const HandoverState::Presence& presence) { return !presence.channel.empty(); }

bool is_sane(const HandoverState::Journal& journal) {
  return journal.incarnation != 0 && journal.told <= journal.sequence;
}

bool is_sane(const ipc::UserChange& change) { return !change.channel.empty() && !change.user.empty(); }

bool is_sane(const HandoverState::Event& event) { return event.level <= static_cast<uint8_t>(log::Level::Debug); }

bool is_sane(const HandoverState::Call& call) {
  return call.asker < ipc::kSlotsMax && !call.waiting.empty() && slots_are_sane(call.waiting);
}

template <typename Record>
bool read_item(std::string_view body, Record& record) {
  return ipc::decode(body, record) && is_sane(record);
}

template <typename Record>
bool read_into(std::string_view body, std::vector<Record>& records) {
  return read_item(body, records.emplace_back());
}

bool add_item(HandoverState& state, uint16_t type, std::string_view body) {
  switch (static_cast<Item>(type)) {
    case Item::Process: return read_item(body, state.process);
    case Item::Kin: return read_item(body, state.kin);
    case Item::Listen: return read_into(body, state.listens);
    case Item::Slot: return read_into(body, state.slots);
    case Item::Channel: return read_into(body, state.channels);
    case Item::Receipt: return read_into(body, state.receipts);
    case Item::Call: return read_into(body, state.calls);
    case Item::Publication: return read_into(body, state.publications);
    case Item::Member: return read_into(body, state.members);
    case Item::Journal: return read_item(body, state.journal);
    case Item::UserChange: return read_into(body, state.user_changes);
    case Item::Event: return read_into(body, state.history);
    case Item::Presence: return read_into(body, state.presence);
  }
  return (type & kCritical) == 0;
}

// What the items say of each other.
Result<void> check_whole(const HandoverState& state) {
  if (state.process.columns == 0) return invalid("the state has no process item");
  SlotSet seen, with_bus;
  for (const auto& slot : state.slots) {
    if (seen.contains(slot.slot)) return invalid("the state has a slot twice");
    seen.add(slot.slot);
    if (slot.bus >= 0) with_bus.add(slot.slot);
    if (ipc::column_of(slot.slot) >= state.process.columns) return invalid("the state has a slot without sockets");
  }
  for (const auto& channel : state.channels) {
    for (const uint16_t slot : channel.interested) {
      if (!with_bus.contains(slot)) return invalid("the state has an interest of nobody");
    }
  }
  std::vector<int> numbers = state.descriptors();
  std::sort(numbers.begin(), numbers.end());
  if (std::adjacent_find(numbers.begin(), numbers.end()) != numbers.end()) {
    return invalid("the state has a descriptor twice");
  }
  for (const auto& listen : state.listens) {
    const bool one = load_le<sa_family_t>(listen.address.data()) == AF_UNIX;
    if (listen.sockets.size() != (one ? 1 : state.process.columns)) return invalid("the state lacks a socket");
  }
  return {};
}

}  // namespace

std::vector<int> HandoverState::descriptors() const {
  std::vector<int> out;
  visit_descriptors(*this, [&out](int32_t number) { out.push_back(number); });
  return out;
}

void HandoverState::renumber(const std::vector<int>& numbers) {
  auto next = numbers.begin();
  visit_descriptors(*this, [&next](int32_t& number) { number = *next++; });
}

std::string serialise(const HandoverState& state) {
  std::string out(kHeaderBytes, '\0');
  uint32_t items = 0;
  append_item(out, items, Item::Process, state.process);
  append_item(out, items, Item::Kin, state.kin);
  append_items(out, items, Item::Listen, state.listens);
  append_items(out, items, Item::Slot, state.slots);
  append_items(out, items, Item::Channel, state.channels);
  append_items(out, items, Item::Publication, state.publications);
  append_items(out, items, Item::Member, state.members);
  append_items(out, items, Item::Presence, state.presence);
  if (state.journal.incarnation != 0) append_item(out, items, Item::Journal, state.journal);
  append_items(out, items, Item::UserChange, state.user_changes);
  append_items(out, items, Item::Receipt, state.receipts);
  append_items(out, items, Item::Call, state.calls);
  append_items(out, items, Item::Event, state.history);
  memcpy(out.data(), kMagic.data(), kMagic.size());
  store_le(out.data() + 4, HandoverState::kVersion);
  store_le(out.data() + 8, items);
  store_le(out.data() + 12, stable_hash(std::string_view(out).substr(kHeaderBytes)));
  return out;
}

Result<HandoverState> parse_handover_state(std::string_view bytes) {
  if (bytes.size() < kHeaderBytes || bytes.substr(0, 4) != kMagic) return invalid("no handover state");
  if (load_le<uint16_t>(bytes.data() + 4) != HandoverState::kVersion) return invalid("a state of another version");
  uint32_t items = load_le<uint32_t>(bytes.data() + 8);
  const uint64_t hash = load_le<uint64_t>(bytes.data() + 12);
  bytes.remove_prefix(kHeaderBytes);
  if (stable_hash(bytes) != hash) return invalid("the state is damaged");
  HandoverState state;
  for (; items > 0; --items) {
    if (bytes.size() < kItemHeaderBytes) return invalid("the state is cut off");
    const auto type = load_le<uint16_t>(bytes.data());
    const auto length = load_le<uint32_t>(bytes.data() + 2);
    bytes.remove_prefix(kItemHeaderBytes);
    if (bytes.size() < length) return invalid("the state is cut off");
    if (!add_item(state, type, bytes.substr(0, length))) return invalid("the state has an item that can't be read");
    bytes.remove_prefix(length);
  }
  if (!bytes.empty()) return invalid("the state has more than its items");
  if (auto checked = check_whole(state); !checked.ok()) return checked.error();
  return state;
}

Result<UniqueFd> write_file(std::string_view bytes) { return make_memory_file("beamgate-state", bytes); }

Result<std::string> read_file(int descriptor) {
  std::string out;
  if (auto read = read_memory_file(descriptor, kFileBytesMax, out); !read.ok()) return read.error();
  return out;
}

}  // namespace beamgate::master
