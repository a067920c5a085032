// That the bytes of a secret are gone once it is.  The memory is looked at through placement in a buffer of the test's
// own, and for long ones through a copy that stays the owner's.
#include "common/base/secret.h"

#include <gmock/gmock.h>

#include <new>
#include <type_traits>
#include <vector>

namespace beamgate {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char* kShort = "hunter2";  // Within the string object itself.
const std::string kLong(200, 'k');

static_assert(std::is_nothrow_move_constructible_v<Secret>, "a vector that grows must move, so as to wipe");

class Place {
 public:
  template <typename T = Secret, typename... Args>
  T* make(Args&&... args) {
    static_assert(sizeof(T) <= sizeof bytes_);
    return new (bytes_) T(std::forward<Args>(args)...);
  }
  std::string bytes() const { return {bytes_, sizeof bytes_}; }

 private:
  alignas(Secret) char bytes_[sizeof(Secret)] = {};
};

TEST(Secret, IsAString) {
  Secret secret = kShort;
  EXPECT_EQ(secret, kShort);
  secret = std::string("other");
  EXPECT_EQ(secret + "!", "other!");
  const Secret copy = secret;
  EXPECT_EQ(copy, secret);
  EXPECT_EQ(Secret(std::move(secret)), "other");
  EXPECT_TRUE(secret.empty());  // NOLINT: what a move leaves is what this is about.
}

TEST(Secret, IsOverwrittenWhenItIsDestroyed) {
  Place place;
  Secret* secret = place.make(kShort);
  ASSERT_THAT(place.bytes(), HasSubstr(kShort));
  secret->~Secret();
  EXPECT_THAT(place.bytes(), Not(HasSubstr(kShort)));
}

TEST(Secret, IsOverwrittenWhenItIsMovedFromAndAssignedTo) {
  Place place;
  Secret* secret = place.make(kShort);
  const Secret taken = std::move(*secret);
  EXPECT_THAT(place.bytes(), Not(HasSubstr(kShort)));
  *secret = Secret("first");
  *secret = Secret("2nd");
  EXPECT_THAT(place.bytes(), Not(HasSubstr("first")));
  secret->~Secret();
}

struct Key {
  char bytes[16] = {};
};

TEST(Wiped, IsOverwrittenWhenItIsDestroyed) {
  Place place;
  Key key;
  memcpy(key.bytes, kShort, strlen(kShort));
  auto* wiped = place.make<Wiped<Key>>(key);
  ASSERT_THAT(place.bytes(), HasSubstr(kShort));
  wiped->~Wiped();
  EXPECT_THAT(place.bytes(), Not(HasSubstr(kShort)));
}

TEST(Secret, AllThatWasReservedIsOverwritten) {
  std::string text = kLong;
  text.resize(3);
  char* const bytes = text.data();
  ASSERT_EQ(bytes[100], 'k');
  wipe(text);
  EXPECT_TRUE(text.empty());
  ASSERT_EQ(text.data(), bytes);
  text.resize(text.capacity());
  EXPECT_EQ(text.find('k'), std::string::npos);
}

}  // namespace
}  // namespace beamgate
