#include "worker/hook/event_store.h"

#include <cstring>

namespace beamgate::hook {

using record::Arena;
using record::kNull;
using record::Ref;

Ref EventStore::append(std::string_view endpoint, std::string_view json, int64_t created_ms) {
  const Ref event = arena_.allocate(sizeof(Node) + endpoint.size() + json.size());
  if (event == kNull) return kNull;
  Ref& tail = arena_.root(Arena::Root::EventsTail);
  save_ends();
  if (tail != kNull) arena_.save(node(tail));
  Node& added = node(event);
  added = Node{kNull, tail, static_cast<uint32_t>(endpoint.size()), static_cast<uint32_t>(json.size()), created_ms, 0};
  char* text = reinterpret_cast<char*>(&added + 1);
  memcpy(text, endpoint.data(), endpoint.size());
  memcpy(text + endpoint.size(), json.data(), json.size());
  (tail == kNull ? arena_.root(Arena::Root::EventsHead) : node(tail).next) = event;
  tail = event;
  return event;
}

void EventStore::save_ends() {
  arena_.save(arena_.root(Arena::Root::EventsHead));
  arena_.save(arena_.root(Arena::Root::EventsTail));
}

void EventStore::remove(Ref event) {
  const Node gone = node(event);
  save_ends();
  if (gone.previous != kNull) arena_.save(node(gone.previous));
  if (gone.next != kNull) arena_.save(node(gone.next));
  (gone.previous == kNull ? arena_.root(Arena::Root::EventsHead) : node(gone.previous).next) = gone.next;
  (gone.next == kNull ? arena_.root(Arena::Root::EventsTail) : node(gone.next).previous) = gone.previous;
  arena_.release(event);
}

void EventStore::copy_from(const Arena& from) {
  constexpr size_t kEventsMax = 10'000'000;  // A list that has become a ring ends here.
  size_t copied = 0;
  for (Ref at = from.root(Arena::Root::EventsHead); at != kNull && copied < kEventsMax; ++copied) {
    const Node* old = from.look<Node>(at);
    if (old == nullptr) return;
    const auto bytes = sizeof(Node) + uint64_t{old->endpoint_bytes} + old->json_bytes;
    if (from.look(at, bytes) == nullptr) return;
    const char* text = reinterpret_cast<const char*>(old + 1);
    const Ref event = append({text, old->endpoint_bytes}, {text + old->endpoint_bytes, old->json_bytes}, old->created_ms);
    if (event == kNull) return;
    node(event).batch = old->batch;
    at = old->next;
  }
}

std::string_view EventStore::endpoint_of(Ref event) const {
  return {reinterpret_cast<const char*>(&node(event) + 1), node(event).endpoint_bytes};
}

std::string_view EventStore::json_of(Ref event) const {
  const Node& found = node(event);
  return {reinterpret_cast<const char*>(&found + 1) + found.endpoint_bytes, found.json_bytes};
}

}  // namespace beamgate::hook
