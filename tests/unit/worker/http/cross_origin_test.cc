// What pages of other origins are told (Fetch standard, section 3.2): nothing where they may not ask, and never
// credentials with "*".
#include "worker/http/cross_origin.h"

#include <gtest/gtest.h>

namespace beamgate::http {
namespace {

std::string fields(const config::CrossOrigin& settings, std::string_view origin) {
  Request request;
  if (!origin.empty()) request.fields.push_back({"Origin", origin});
  std::string out;
  for (const ResponseField& field : cross_origin_fields(request, settings)) {
    out += field.name + ": " + field.value + "\n";
  }
  return out;
}

TEST(CrossOrigin, AnyPageMayReadWithoutCredentials) {
  EXPECT_EQ(fields({.origins = {}, .credentials = true}, "https://a.example"), "Access-Control-Allow-Origin: *\n");
  EXPECT_EQ(fields({}, ""), "");
}

TEST(CrossOrigin, ListedPagesAreNamed) {
  const config::CrossOrigin settings{.origins = {"https://a.example", "https://*.b.example"}, .credentials = true};
  EXPECT_EQ(fields(settings, "https://a.example"),
            "Vary: Origin\nAccess-Control-Allow-Origin: https://a.example\nAccess-Control-Allow-Credentials: true\n");
  EXPECT_EQ(fields(settings, "https://x.b.example"),
            "Vary: Origin\nAccess-Control-Allow-Origin: https://x.b.example\nAccess-Control-Allow-Credentials: true\n");
  EXPECT_EQ(fields(settings, "https://b.example"), "Vary: Origin\n");
  EXPECT_EQ(fields(settings, ""), "Vary: Origin\n");
}

}  // namespace
}  // namespace beamgate::http
