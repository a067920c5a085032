// What a client gets to see of a backend's fields: hidden, let through, and turned around as nginx's directives say.
#include "worker/upstream/response_fields.h"

#include <gtest/gtest.h>

#include "tests/unit/worker/upstream/parse_template.h"

namespace beamgate::upstream {
namespace {

config::ProxyRewrite rewrite(const std::string& from, const std::string& to) {
  return {.from = parse_template(from), .to = parse_template(to)};
}

struct Answer {
  Answer() {
    location.pattern = "/here/";
    location.proxy.host = "app:8080";
    location.proxy.has_uri = true;
    location.proxy.uri = "/there/";
    request.location = &location;
    request.host = "site.example";
  }

  std::string fit(const std::string& name, const std::string& value) {
    std::vector<http::ResponseField> fields = {{name, value}};
    fit_fields(request, record, fields);
    return fields.empty() ? "-" : fields[0].value;
  }

  config::Location location;
  http::Request request;
  record::Record record;
};

TEST(ResponseFields, SomeAreOurs) {
  Answer one;
  for (const char* name : {"Date", "server", "X-Pad", "X-Accel-Redirect", "x-accel-expires"}) {
    EXPECT_EQ(one.fit(name, "v"), "-") << name;
  }
  EXPECT_EQ(one.fit("X-Powered-By", "v"), "v");
  one.location.proxy.pass_headers = {"Server", "x-accel-expires"};
  one.location.proxy.hide_headers = {"x-powered-by"};
  EXPECT_EQ(one.fit("server", "v"), "v");
  EXPECT_EQ(one.fit("X-Accel-Expires", "v"), "v");
  EXPECT_EQ(one.fit("Date", "v"), "-");
  EXPECT_EQ(one.fit("X-Powered-By", "v"), "-");
}

TEST(ResponseFields, RedirectsPointBackHere) {
  Answer one;
  EXPECT_EQ(one.fit("Location", "http://app:8080/there/x"), "/here/x");
  EXPECT_EQ(one.fit("Refresh", "5; url=http://app:8080/there/x"), "5; url=/here/x");
  EXPECT_EQ(one.fit("Location", "http://other/"), "http://other/");
  one.location.proxy.redirects = {};
  EXPECT_EQ(one.fit("Location", "http://app:8080/there/x"), "http://app:8080/there/x");
  one.location.proxy.redirects = {rewrite("http://a/", "https://b/"), rewrite("/", "/v/"), {.standard = true}};
  EXPECT_EQ(one.fit("location", "http://a/x"), "https://b/x");
  EXPECT_EQ(one.fit("location", "/x"), "/v/x");
  EXPECT_EQ(one.fit("location", "http://app:8080/there/x"), "/here/x");
  one.location.proxy.redirects = {rewrite("http://$host/", "/$host/")};
  EXPECT_EQ(one.fit("location", "http://site.example/x"), "/site.example/x");
}

TEST(ResponseFields, CookiesFollow) {
  Answer one;
  const std::string cookie = "a=path=/x; Path=/there/x; HttpOnly; Domain=.App.internal; Max-Age=5";
  EXPECT_EQ(one.fit("Set-Cookie", cookie), cookie);
  one.location.proxy.cookie_paths = {rewrite("/there/", "/here/")};
  one.location.proxy.cookie_domains = {rewrite("app.internal", "$host")};
  EXPECT_EQ(one.fit("set-cookie", cookie), "a=path=/x; Path=/here/x; HttpOnly; Domain=site.example; Max-Age=5");
  EXPECT_EQ(one.fit("Set-Cookie", "a=b; path=/other; domain=other"), "a=b; path=/other; domain=other");
  EXPECT_EQ(one.fit("Set-Cookie", "a=b;path=/there/;domain=app.internal"), "a=b;path=/here/;domain=site.example");
  EXPECT_EQ(one.fit("Set-Cookie", "a=b;"), "a=b;");
}

}  // namespace
}  // namespace beamgate::upstream
