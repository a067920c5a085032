// Wire: how the fields of a bus message become bytes and come back.
//
// Format   Integers little endian in their own width, bool one byte (0 or 1), text as u32 length and bytes,
//          lists as u32 count and elements, which may be parts: structs with a visit() and a kBytesMin.  A message lists its fields once, in visit(); Encoder and Decoder
//          walk the same list.
// Errors   Decoder never reads past its input and never allocates more than it; after a bad field ok() is
//          false and everything else reads as zero.  Text borrows from the input.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "common/base/bytes.h"

namespace beamgate::ipc {

class Encoder {
 public:
  explicit Encoder(std::string& out) : out_(out) {}

  template <typename T>
    requires std::is_integral_v<T> || std::is_enum_v<T>
  void operator()(const T& value) {
    char bytes[sizeof(T)];
    store_le(bytes, value);
    out_.append(bytes, sizeof bytes);
  }
  void operator()(const std::string_view& text) {
    (*this)(static_cast<uint32_t>(text.size()));
    out_.append(text);
  }
  template <typename T>
  void operator()(const std::vector<T>& list) {
    (*this)(static_cast<uint32_t>(list.size()));
    for (const T& element : list) {
      if constexpr (std::is_class_v<T> && !std::is_same_v<T, std::string_view>) {
        T::visit(*this, element);
      } else {
        (*this)(element);
      }
    }
  }

 private:
  std::string& out_;
};

class Decoder {
 public:
  explicit Decoder(std::string_view in) : in_(in) {}

  template <typename T>
    requires std::is_integral_v<T> || std::is_enum_v<T>
  void operator()(T& value) {
    value = T{};
    if (!ok_ || in_.size() < sizeof(T)) {
      ok_ = false;
      return;
    }
    if constexpr (std::is_same_v<T, bool>) {
      if (static_cast<unsigned char>(in_[0]) > 1) ok_ = false;
      value = in_[0] == 1;
    } else {
      value = load_le<T>(in_.data());
    }
    in_.remove_prefix(sizeof(T));
  }
  void operator()(std::string_view& text) {
    uint32_t size = 0;
    (*this)(size);
    if (!ok_ || in_.size() < size) {
      ok_ = false;
      text = {};
      return;
    }
    text = in_.substr(0, size);
    in_.remove_prefix(size);
  }
  template <typename T>
  void operator()(std::vector<T>& list) {
    uint32_t count = 0;
    (*this)(count);
    list.clear();
    if (!ok_ || count > in_.size() / element_bytes_min<T>()) {
      ok_ = false;
      return;
    }
    list.resize(count);
    for (T& element : list) {
      if constexpr (kIsPart<T>) {
        T::visit(*this, element);
      } else {
        (*this)(element);
      }
    }
  }

  // Everything read, nothing left over.
  bool finished() const { return ok_ && in_.empty(); }
  bool ok() const { return ok_; }
  void fail() { ok_ = false; }  // What was read makes no sense to whoever reads it.

 private:
  template <typename T>
  static constexpr bool kIsPart = std::is_class_v<T> && !std::is_same_v<T, std::string_view>;
  // A part says the least it takes itself: a list may not make much memory of few bytes.
  template <typename T>
  static constexpr size_t element_bytes_min() {
    if constexpr (kIsPart<T>) {
      return T::kBytesMin;
    } else if constexpr (std::is_same_v<T, std::string_view>) {
      return sizeof(uint32_t);
    } else {
      return sizeof(T);
    }
  }

  std::string_view in_;
  bool ok_ = true;
};

template <typename Message>
std::string encode(const Message& message) {
  std::string out;
  Encoder encoder(out);
  Message::visit(encoder, message);
  return out;
}

// False when the body is not exactly one such message.
template <typename Message>
bool decode(std::string_view body, Message& message) {
  Decoder decoder(body);
  Message::visit(decoder, message);
  return decoder.finished();
}

}  // namespace beamgate::ipc
