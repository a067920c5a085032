#include "worker/http/variables.h"

#include <gmock/gmock.h>

#include "common/config/variables.h"

namespace beamgate::http {
namespace {

using ::testing::ElementsAreArray;

// What the configuration accepts and the manual lists has a value.
TEST(Variables, EachNameThatIsAcceptedIsGiven) {
  EXPECT_THAT(given_variables(), ElementsAreArray(config::variable_names()));
}

TEST(Variables, SoIsEachFamily) {
  config::Config config;
  Request request;
  request.fields = {{"x", "of the request"}, {"cookie", "x=a cookie"}};
  request.query = "x=argument";
  request.trace.sent_fields = {{"X", "sent"}};
  request.trace.upstream_fields = {{"X", "answered"}, {"x", "twice"}};
  const record::Record record;
  std::string out;
  for (const std::string_view prefix : config::variable_prefixes()) {
    append_variable(std::string(prefix) + "x", {request, record}, out);
    out += '|';
  }
  EXPECT_EQ(out, "argument|a cookie|of the request|sent|answered, twice|");
}

}  // namespace
}  // namespace beamgate::http
