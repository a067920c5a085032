// Access logs and the variables in them: what a line says, that no client can forge one, and rotation.
#include "worker/http/access_log.h"

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/unit/worker/http/layer_fixture.h"

namespace beamgate::http {
namespace {

namespace fs = std::filesystem;

class AccessLogTest : public LayerTest {
 protected:
  void SetUp() override {
    std::string name = (fs::temp_directory_path() / "beamgate-log-XXXXXX").string();
    ASSERT_NE(mkdtemp(name.data()), nullptr);
    base_ = name;
  }
  void TearDown() override {
    LayerTest::TearDown();
    fs::remove_all(base_);
  }
  std::string path() const { return (base_ / "access.log").string(); }
  std::string logged() const {
    std::ifstream file(path());
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  // A server that logs with this format.
  void start_with(const std::string& format, const std::string& more = "location / { return 200 hi; }") {
    start("log_format f " + format + "; access_log " + path() + " f; server { listen 127.0.0.1:8000; " +
          more + " }");
    open();
  }

  fs::path base_;
};

TEST_F(AccessLogTest, AVariableSaysWhatItNames) {
  const struct {
    const char* variable;
    const char* value;
  } rows[] = {
      {"$request_method", "GET"},
      {"$request_uri", "/a/../b%20c?x=1&y=%41"},
      {"$uri", "/b c"},
      {"$document_uri", "/b c"},
      {"$args", "x=1&y=%41"},
      {"$query_string", "x=1&y=%41"},
      {"$is_args", "?"},
      {"$arg_y", "%41"},
      {"$arg_z", "-"},
      {"$http_user_agent", "probe/1"},
      {"$http_x_two", "a, b"},
      {"$http_nothing", "-"},
      {"$cookie_s", "42"},
      {"$cookie_t", "-"},
      {"$host", "ex.org"},
      {"$server_name", "first"},
      {"$server_port", "8000"},
      {"$server_addr", "127.0.0.1"},
      {"$server_protocol", "HTTP/1.1"},
      {"$scheme", "http"},
      {"$status", "200"},
      {"$body_bytes_sent", "2"},
      {"$remote_user", "tom"},
      {"$remote_addr", "unix:"},
      {"$connection_requests", "1"},
      {"$request", "GET /a/../b%20c?x=1&y=%41 HTTP/1.1"},
      {"${status}x", "200x"},
      {"$1", "c"},
  };
  for (const auto& row : rows) {
    fs::remove(path());
    start_with("'" + std::string(row.variable) + "'",
               "server_name first; location ~ ^/b.(.)$ { return 200 hi; }");
    exchange(
        "GET /a/../b%20c?x=1&y=%41 HTTP/1.1\r\nHost: Ex.org:8000\r\nUser-Agent: probe/1\r\nX_Two: forged\r\nX-Two: "
        "a\r\nx-two: b\r\n"
        "Cookie: r=1; s=42\r\nAuthorization: Basic dG9tOng=\r\n\r\n");
    EXPECT_EQ(logged(), std::string(row.value) + "\n") << row.variable;
  }
}

TEST_F(AccessLogTest, NumbersAndTimes) {
  start_with(
      "'$request_time $bytes_sent $request_length $time_local $time_iso8601 $msec $pid $connection_id'");
  const std::string request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  const std::string answer = exchange(request);
  const std::string line = logged();
  EXPECT_TRUE(line.starts_with("0.0")) << line;
  EXPECT_NE(line.find(" " + std::to_string(answer.size()) + " " + std::to_string(request.size()) + " "),
            line.npos)
      << line;
}

TEST_F(AccessLogTest, NoClientForgesALine) {
  start_with("'\"$http_x\" $uri'");
  exchange("GET /%0a1.2.3.4%22\\ HTTP/1.1\r\nHost: a\r\nX: q\"\\\xc3\xa9\r\n\r\n");
  EXPECT_EQ(logged(), "\"q\\x22\\x5C\\xC3\\xA9\" /\\x0A1.2.3.4\\x22\\x5C\n");
  fs::remove(path());
  start_with("escape=json '{\"u\":\"$uri\",\"n\":\"$http_nothing\"}'");
  exchange("GET /%0a%01%22\\ HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(logged(), "{\"u\":\"/\\n\\u0001\\\"\\\\\",\"n\":\"\"}\n");
  fs::remove(path());
  start_with("escape=json '$http_x'");
  exchange("GET / HTTP/1.1\r\nHost: a\r\nX: \xc3\xa9\xff\xe2\x82|\xed\xa0\x80\r\n\r\n");
  EXPECT_EQ(logged(), "\xc3\xa9\\uFFFD\\uFFFD\\uFFFD|\\uFFFD\\uFFFD\\uFFFD\n");
}

TEST_F(AccessLogTest, RefusedAndLostRequestsAreLoggedToo) {
  start_with("'$status $request'");
  exchange("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n");
  open();
  exchange("\x16\x03\x01");
  EXPECT_EQ(logged(), "400 GET / HTTP/1.1\n400 \\x16\\x03\\x01\n");
}

TEST_F(AccessLogTest, LinesGoToTheNewFileAfterARotation) {
  start_with("'$uri'");
  exchange("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n");
  fs::rename(path(), base_ / "old");
  exchange("GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
  logs_->reopen();
  exchange("GET /3 HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(logged(), "/3\n");
  std::ifstream old(base_ / "old");
  std::stringstream text;
  text << old.rdbuf();
  EXPECT_EQ(text.str(), "/1\n/2\n");
}

TEST_F(AccessLogTest, ALogThatCanNotBeWrittenStopsNothing) {
  start("access_log " + (base_ / "missing/dir/log").string() +
        "; server { listen 127.0.0.1:1; location / { return 200; } }");
  open();
  EXPECT_EQ(status_of_response(exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n")), 200);
}

TEST_F(AccessLogTest, OffIsOff) {
  start("server { listen 127.0.0.1:1; access_log off; location / { return 200; } }");
  open();
  EXPECT_EQ(status_of_response(exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n")), 200);
  EXPECT_FALSE(fs::exists(path()));
}

}  // namespace
}  // namespace beamgate::http
