#include "worker/record/arena.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <utility>

#include "worker/record/record.h"

namespace beamgate::record {
namespace {

// Block sizes up to half a span, about 1.33 apart so that at most a third is wasted.  Larger blocks are runs
// of 2^order whole spans.
constexpr uint32_t kClassBytes[] = {16,   32,   48,   64,   96,   128,  192,   256,   384,   512,  768,
                                    1024, 1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384, 21824, 32768};
constexpr uint8_t kClasses = std::size(kClassBytes);
constexpr uint8_t kClassFree = 255;
constexpr uint8_t kClassRunHead = 254;
constexpr uint8_t kOrderMax = 10;  // 2^10 spans are kBlockBytesMax.
static_assert((Arena::kSpanBytes << kOrderMax) == Arena::kBlockBytesMax);

constexpr size_t kPunchesPerTrim = 16;  // A fraction of a millisecond each.

constexpr size_t kHeaderBytes = 4096;
constexpr uint64_t kMagic = 0x314e4552'41474221;  // "!BGARENA1" cut to eight bytes.

struct Header {
  uint64_t magic = kMagic;
  uint32_t record_bytes = sizeof(Record);
  uint32_t slots = 0;
  Ref roots[static_cast<size_t>(Arena::Root::kCount)] = {};
  Journal::Head journal;
  Stage stage;
  Vault vault;
};
static_assert(sizeof(Header) <= kHeaderBytes);

uint8_t class_for(size_t bytes) {
  const auto* found = std::lower_bound(std::begin(kClassBytes), std::end(kClassBytes), bytes);
  return static_cast<uint8_t>(found - std::begin(kClassBytes));
}

uint16_t blocks_in_span(uint8_t size_class) {
  return static_cast<uint16_t>(Arena::kSpanBytes / kClassBytes[size_class]);
}

size_t round_up(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

// Where the parts begin; the heap starts on a span boundary so that a span can be punched out whole.
struct Layout {
  explicit Layout(uint32_t slots)
      : stage(kHeaderBytes),
        journal(stage + Arena::kLandingBytes + Arena::kTurnBytes),
        records(journal + Journal::kBytesMax),
        spans(round_up(records + size_t{slots} * sizeof(Record), 4096)),
        span_count(static_cast<uint32_t>(Arena::kHeapBytesMax / Arena::kSpanBytes)),
        heap(round_up(spans + span_count * sizeof(Span), Arena::kSpanBytes)),
        end(heap + Arena::kHeapBytesMax) {}

  size_t stage;
  size_t journal;
  size_t records;
  size_t spans;
  uint32_t span_count;
  size_t heap;
  size_t end;
};

}  // namespace

Result<Arena> Arena::map(UniqueFd fd, uint32_t slots) {
  if (fd.valid() && ftruncate(fd.get(), static_cast<off_t>(Layout(slots).end)) != 0) {
    return system_error("can't size the arena");
  }
  auto arena = map_file(std::move(fd), slots);
  if (!arena.ok()) return arena;
  auto* header = new (arena.value().base_) Header;
  header->slots = slots;
  return arena;
}

Result<Arena> Arena::open(UniqueFd fd) {
  Header header;
  if (pread(fd.get(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header)) {
    return system_error("can't read the arena");
  }
  struct stat status {};
  const bool known = header.magic == kMagic && header.record_bytes == sizeof(Record) && fstat(fd.get(), &status) == 0 &&
                     status.st_size == static_cast<off_t>(Layout(header.slots).end);
  if (!known) return Error{Code::Invalid, 0, "this is no arena of this build"};
  return map_file(std::move(fd), header.slots);
}

Result<Arena> Arena::map_file(UniqueFd fd, uint32_t slots) {
  const Layout layout(slots);
  const int flags = MAP_SHARED | MAP_NORESERVE | (fd.valid() ? 0 : MAP_ANONYMOUS);
  void* base = mmap(nullptr, layout.end, PROT_READ | PROT_WRITE, flags, fd.get(), 0);
  if (base == MAP_FAILED) return system_error("can't map the arena");
  madvise(base, layout.end, MADV_DONTDUMP);  // Clients' bytes stay out of core files.
  return Arena(std::move(fd), static_cast<char*>(base), layout.end, slots);
}

Arena::Arena(UniqueFd fd, char* base, size_t mapped_bytes, uint32_t slots)
    : fd_(std::move(fd)), base_(base), mapped_bytes_(mapped_bytes), slots_(slots), classes_(kClasses), free_runs_(kOrderMax + 1) {
  const Layout layout(slots);
  records_ = reinterpret_cast<Record*>(base_ + layout.records);
  spans_ = reinterpret_cast<Span*>(base_ + layout.spans);
  span_count_ = layout.span_count;
  heap_ = base_ + layout.heap;
  landing_ = base_ + layout.stage;
  journal_ = Journal(&reinterpret_cast<Header*>(base_)->journal, base_ + layout.journal, base_);
}

Arena::Arena(Arena&& other) noexcept
    : fd_(std::move(other.fd_)),
      base_(std::exchange(other.base_, nullptr)),
      mapped_bytes_(other.mapped_bytes_),
      slots_(other.slots_),
      records_(other.records_),
      landing_(other.landing_),
      journal_(std::move(other.journal_)),
      spans_(other.spans_),
      span_count_(other.span_count_),
      heap_(other.heap_),
      classes_(std::move(other.classes_)),
      free_runs_(std::move(other.free_runs_)),
      idle_bytes_(other.idle_bytes_),
      spans_touched_(other.spans_touched_),
      bytes_live_(other.bytes_live_),
      most_live_(other.most_live_),
      most_live_before_(other.most_live_before_) {}

Arena::~Arena() {
  if (base_ != nullptr) munmap(base_, mapped_bytes_);
}

Ref& Arena::root(Root which) const {
  return reinterpret_cast<Header*>(base_)->roots[static_cast<size_t>(which)];
}

Stage& Arena::stage() const { return reinterpret_cast<Header*>(base_)->stage; }

Vault& Arena::vault() const { return reinterpret_cast<Header*>(base_)->vault; }

bool Arena::undo(std::vector<uint32_t>& slots) {
  const auto records_at = static_cast<uint64_t>(reinterpret_cast<char*>(records_) - base_);
  return journal_.undo(mapped_bytes_, [&](uint64_t offset, uint64_t) {
    if (offset < records_at) return;
    const uint64_t slot = (offset - records_at) / sizeof(Record);
    if (slot < slots_) slots.push_back(static_cast<uint32_t>(slot));
  });
}

size_t Arena::look_capacity(Ref ref) const {
  const uint64_t offset = uint64_t{ref} * kRefUnit;
  const auto heap_at = static_cast<uint64_t>(heap_ - base_);
  if (offset < heap_at || offset >= mapped_bytes_) return 0;
  const uint64_t in_heap = offset - heap_at;
  const Span& span = spans_[in_heap / kSpanBytes];
  const uint64_t in_span = in_heap % kSpanBytes;
  if (span.size_class == kClassRunHead) {
    if (in_span != 0 || span.run_order > kOrderMax) return 0;
    const size_t bytes = kSpanBytes << span.run_order;
    return bytes <= mapped_bytes_ - offset ? bytes : 0;
  }
  if (span.size_class >= kClasses || in_span % kClassBytes[span.size_class] != 0) return 0;
  return in_span + kClassBytes[span.size_class] <= kSpanBytes ? kClassBytes[span.size_class] : 0;
}

const char* Arena::look(Ref ref, size_t bytes) const {
  return look_capacity(ref) >= bytes && ref != kNull ? base_ + static_cast<size_t>(ref) * kRefUnit : nullptr;
}

Ref Arena::allocate(size_t bytes) {
  if (bytes > kBlockBytesMax) return kNull;
  const uint8_t size_class = class_for(bytes);
  const Ref ref = size_class < kClasses ? allocate_block(size_class) : allocate_run(bytes);
  if (ref == kNull) return kNull;
  bytes_live_ += capacity(ref);
  most_live_ = std::max(most_live_, bytes_live_);
  return ref;
}

Ref Arena::allocate_block(uint8_t size_class) {
  ClassList& list = classes_[size_class];
  if (list.first == 0) {
    const uint32_t fresh = take_spans(0);
    if (fresh == span_count_) return kNull;
    spans_[fresh] = Span{.size_class = size_class};
    link(size_class, fresh);
  }
  const uint32_t index = list.first - 1;
  Span& span = spans_[index];
  uint16_t block = 0;
  if (span.free_head != 0) {
    block = static_cast<uint16_t>(span.free_head - 1);
    span.free_head = load_block_link(index, size_class, block);
  } else {
    block = span.touched++;
  }
  if (++span.live == blocks_in_span(size_class)) unlink(size_class, index);
  return ref_of(block_start(index, size_class, block));
}

Ref Arena::allocate_run(size_t bytes) {
  const size_t spans = round_up(bytes, kSpanBytes) / kSpanBytes;
  const auto order = static_cast<uint8_t>(std::bit_width(spans - 1));
  const uint32_t first = take_spans(order);
  if (first == span_count_) return kNull;
  spans_[first] = Span{.size_class = kClassRunHead, .run_order = order, .live = 1};
  return ref_of(span_start(first));
}

void Arena::release(Ref ref) {
  if (ref == kNull || journal_.defer_release(ref, false)) return;
  free_block(ref);
}

void Arena::release_secret(Ref ref) {
  if (ref == kNull || journal_.defer_release(ref, true)) return;
  wipe(ref);
  free_block(ref);
}

void Arena::wipe(Ref ref) { explicit_bzero(at(ref), capacity(ref)); }

// What the committed step has let go of.
void Arena::settle() {
  auto& released = journal_.released();
  for (const auto& block : released) {
    if (block.secret) wipe(block.ref);
    free_block(block.ref);
  }
  released.clear();
  journal_.close_doomed();
}

void Arena::free_block(Ref ref) {
  bytes_live_ -= capacity(ref);
  const uint32_t index = span_of(ref);
  Span& span = spans_[index];
  if (span.size_class == kClassRunHead) {
    give_spans(index, span.run_order);
    return;
  }
  const uint8_t size_class = span.size_class;
  const size_t offset = static_cast<size_t>(at(ref) - span_start(index));
  const auto block = static_cast<uint16_t>(offset / kClassBytes[size_class]);
  BG_ASSERT(span.live > 0 && offset % kClassBytes[size_class] == 0);
  store_block_link(index, size_class, block, span.free_head);
  span.free_head = static_cast<uint16_t>(block + 1);
  const bool was_full = span.live-- == blocks_in_span(size_class);
  if (was_full) link(size_class, index);
  // The class's only span with room stays, so that one block coming and going doesn't punch holes.
  const bool only = classes_[size_class].first == index + 1 && span.next == 0;
  if (span.live == 0 && !only) {
    unlink(size_class, index);
    give_spans(index, 0);
  }
}

size_t Arena::capacity(Ref ref) const {
  const Span& span = spans_[span_of(ref)];
  return span.size_class == kClassRunHead ? kSpanBytes << span.run_order : kClassBytes[span.size_class];
}

// Returns span_count_ when the heap is full.  Runs of an order are reused for that order only: a freed run
// costs address space, not memory, and the heap's address space is far larger than any worker's memory.
uint32_t Arena::take_spans(uint8_t order) {
  FreeRuns& free = free_runs_[order];
  for (std::vector<uint32_t>* runs : {&free.kept, &free.empty}) {
    if (runs->empty()) continue;
    const uint32_t first = runs->back();
    runs->pop_back();
    if (runs == &free.kept) idle_bytes_ -= kSpanBytes << order;
    free.least = std::min(free.least, free.kept.size());
    free.surplus = std::min(free.surplus, free.kept.size());
    return first;
  }
  const uint32_t count = uint32_t{1} << order;
  if (spans_touched_ + count > span_count_) return span_count_;
  const uint32_t first = spans_touched_;
  spans_touched_ += count;
  return first;
}

void Arena::give_spans(uint32_t first, uint8_t order) {
  spans_[first] = Span{.size_class = kClassFree};
  const size_t bytes = kSpanBytes << order;
  const uint64_t wanted = std::max(most_live_, most_live_before_) + kIdleBytesMax;
  if (bytes_live_ + idle_bytes_ + bytes > wanted) return punch_out(first, order);
  idle_bytes_ += bytes;
  free_runs_[order].kept.push_back(first);
}

void Arena::punch_out(uint32_t first, uint8_t order) {
  madvise(span_start(first), kSpanBytes << order, MADV_REMOVE);
  free_runs_[order].empty.push_back(first);
}

void Arena::trim() {
  const bool window_ends = ++trims_ % kTrimsPerWindow == 0;
  size_t left = kPunchesPerTrim;
  for (uint8_t order = 0; order <= kOrderMax; ++order) {
    FreeRuns& free = free_runs_[order];
    const size_t count = std::min(free.surplus, left);
    left -= count;
    const auto end = free.kept.begin() + static_cast<ptrdiff_t>(count);
    std::for_each(free.kept.begin(), end, [&](uint32_t first) { punch_out(first, order); });
    free.kept.erase(free.kept.begin(), end);
    idle_bytes_ -= count * (kSpanBytes << order);
    free.surplus -= count;
    if (!window_ends) continue;
    free.surplus = std::min(free.least, free.kept.size());
    free.least = free.kept.size();
  }
  if (window_ends) most_live_before_ = std::exchange(most_live_, bytes_live_);
}

void Arena::link(uint8_t size_class, uint32_t span) {
  ClassList& list = classes_[size_class];
  spans_[span].previous = 0;
  spans_[span].next = list.first;
  if (list.first != 0) spans_[list.first - 1].previous = span + 1;
  list.first = span + 1;
}

void Arena::unlink(uint8_t size_class, uint32_t span) {
  Span& entry = spans_[span];
  if (entry.previous != 0) {
    spans_[entry.previous - 1].next = entry.next;
  } else {
    classes_[size_class].first = entry.next;
  }
  if (entry.next != 0) spans_[entry.next - 1].previous = entry.previous;
  entry.next = entry.previous = 0;
}

uint32_t Arena::span_of(Ref ref) const {
  return static_cast<uint32_t>((base_ + static_cast<size_t>(ref) * kRefUnit - heap_) / kSpanBytes);
}

char* Arena::block_start(uint32_t span, uint8_t size_class, uint16_t block) const {
  return span_start(span) + size_t{block} * kClassBytes[size_class];
}

// A free block holds the next one's index + 1 in its first two bytes.
uint16_t Arena::load_block_link(uint32_t span, uint8_t size_class, uint16_t block) const {
  return *reinterpret_cast<uint16_t*>(block_start(span, size_class, block));
}

void Arena::store_block_link(uint32_t span, uint8_t size_class, uint16_t block, uint16_t next) {
  *reinterpret_cast<uint16_t*>(block_start(span, size_class, block)) = next;
}

}  // namespace beamgate::record
