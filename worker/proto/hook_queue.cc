#include "worker/proto/hook_queue.h"

#include <cstring>

namespace beamgate::proto {
namespace {

struct Node {
  record::Ref next = record::kNull;
  uint32_t bytes = 0;
  uint32_t sequence = 0;
  uint32_t binary = 0;
  // The payload follows.
};

HookQueue::Message message_of(const Node& node) {
  return {node.binary != 0, node.sequence, {reinterpret_cast<const char*>(&node + 1), node.bytes}};
}

}  // namespace

bool HookQueue::push(record::Record& record, bool binary, uint32_t sequence, std::string_view bytes) {
  const record::Ref added = arena_.allocate(sizeof(Node) + bytes.size());
  if (added == record::kNull) return false;
  record::touch(arena_, record);
  Node* node = arena_.at<Node>(added);
  *node = Node{record::kNull, static_cast<uint32_t>(bytes.size()), sequence, binary};
  if (!bytes.empty()) memcpy(node + 1, bytes.data(), bytes.size());
  (record.hook_messages == 0 ? record.hook_head : arena_.at<Node>(record.hook_tail)->next) = added;
  record.hook_tail = added;
  ++record.hook_messages;
  return true;
}

HookQueue::Message HookQueue::front(const record::Record& record) const {
  BG_ASSERT(record.hook_messages > 0);
  return message_of(*arena_.at<Node>(record.hook_head));
}

std::vector<HookQueue::Message> HookQueue::all(const record::Record& record) const {
  std::vector<Message> messages;
  record::Ref at = record.hook_head;
  for (uint32_t i = 0; i < record.hook_messages; ++i) {
    const Node& node = *arena_.at<Node>(at);
    messages.push_back(message_of(node));
    at = node.next;
  }
  return messages;
}

void HookQueue::pop(record::Record& record) {
  BG_ASSERT(record.hook_messages > 0);
  record::touch(arena_, record);
  const record::Ref gone = record.hook_head;
  record.hook_head = arena_.at<Node>(gone)->next;
  if (--record.hook_messages == 0) record.hook_tail = record::kNull;
  arena_.release(gone);
}

bool HookQueue::cut_front(record::Record& record, size_t bytes) {
  const record::Ref gone = record.hook_head;
  const std::string_view rest = front(record).bytes.substr(bytes);
  BG_ASSERT(!rest.empty());
  const record::Ref shorter = arena_.allocate(sizeof(Node) + rest.size());
  if (shorter == record::kNull) return false;
  record::touch(arena_, record);
  Node* node = arena_.at<Node>(shorter);
  *node = *arena_.at<Node>(gone);
  node->bytes = static_cast<uint32_t>(rest.size());
  memcpy(node + 1, rest.data(), rest.size());
  if (record.hook_tail == gone) record.hook_tail = shorter;
  record.hook_head = shorter;
  arena_.release(gone);
  return true;
}

// The list's end is its count: the last node's link may be of a step that was taken back.
bool HookQueue::copy_from(const record::Arena& from, const record::Record& old, record::Record& record) {
  record.hook_head = record.hook_tail = record::kNull;
  record.hook_messages = 0;
  record::Ref at = old.hook_head;
  for (uint32_t left = old.hook_messages; left > 0; --left) {
    const Node* node = from.look<Node>(at);
    if (node == nullptr || from.look(at, sizeof(Node) + size_t{node->bytes}) == nullptr) return false;
    const std::string_view bytes(reinterpret_cast<const char*>(node + 1), node->bytes);
    if (!push(record, node->binary != 0, node->sequence, bytes)) return false;
    at = node->next;
  }
  return true;
}

void HookQueue::clear(record::Record& record) {
  while (record.hook_messages > 0) pop(record);
}

}  // namespace beamgate::proto
