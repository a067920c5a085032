// Rewriting: a pattern, a replacement and a path, whatever they are, give a path, a redirect or a refusal within the limits;
// nothing of a request can end a field line of a redirect.
// Input: lines: pattern ("~*" in front ignores case), replacement, a digit for the flag; the rest is the URI.
#include <algorithm>

#include "common/base/assert.h"
#include "common/config/regex.h"
#include "tests/fuzz/input.h"
#include "tests/fuzz/target.h"
#include "worker/http/grammar.h"
#include "worker/http/rewriter.h"

namespace beamgate::fuzz {
namespace {

using config::Rewrite;

void check_match(const config::Regex& regex, std::string_view subject) {
  config::Captures captures;
  const auto found = regex.match(subject, &captures);
  if (!found.ok() || !found.value()) return;
  BG_ASSERT(captures.size() <= regex.group_count() + 1);
  for (size_t n = 0; n < captures.size(); ++n) {
    const std::string_view group = captures.at(n);
    if (group.empty()) continue;
    BG_ASSERT(group.data() >= subject.data() && group.data() + group.size() <= subject.data() + subject.size());
  }
  for (const auto& name : regex.names()) {
    std::string_view value;
    captures.find(name.name, value);
  }
}

}  // namespace

FUZZ_TARGET(rewrite) {
  Input input(bytes);
  std::string_view pattern = input.line();
  const std::string_view replacement = input.line(), flag = input.line();
  const bool ignore_case = pattern.starts_with("~*");
  if (ignore_case) pattern.remove_prefix(2);
  config::Regex::CompileError wrong;
  config::Step step{.kind = config::Step::Kind::Rewrite};
  step.rewrite.regex = config::Regex::compile(pattern, ignore_case, wrong);
  if (step.rewrite.regex == nullptr) {
    BG_ASSERT(!wrong.text.empty() && wrong.offset <= pattern.size());
    return;
  }
  check_match(*step.rewrite.regex, input.rest());
  std::string error;
  if (!config::Template::parse(replacement, step.rewrite.replacement, error)) return;
  step.rewrite.flag = flag.empty() ? Rewrite::Flag::None : static_cast<Rewrite::Flag>(static_cast<uint8_t>(flag[0]) % 5);
  step.rewrite.keep_args = flag.size() < 2;

  http::Request request;
  request.method = "GET";
  request.host = "a";
  if (!http::go_to(input.rest(), request)) return;
  const record::Record record{};
  config::Script script;
  script.push_back(step);
  const http::Direction direction = run_script(script, request, record);
  using Next = http::Direction::Next;
  if (direction.next == Next::Failed) return;
  if (direction.next == Next::Redirect) {
    BG_ASSERT(direction.status == 301 || direction.status == 302);
    return;
  }
  BG_ASSERT(!request.path.empty() && request.path[0] == '/' && request.path.size() <= http::kPathBytesMax);
}

}  // namespace beamgate::fuzz
