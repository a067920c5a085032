// Shows that options are read as nginx reads them, joined or apart, and that anything else is refused.
#include "common/config/command_line.h"

#include <gtest/gtest.h>

#include <vector>

namespace beamgate::config {
namespace {

using Mode = CommandLine::Mode;

CommandLine must_parse(std::vector<const char*> args) {
  CommandLine line;
  std::string error;
  EXPECT_TRUE(parse(args, line, error)) << error;
  return line;
}

std::string error_of(std::vector<const char*> args) {
  CommandLine line;
  std::string error;
  EXPECT_FALSE(parse(args, line, error));
  return error;
}

TEST(CommandLine, NothingMeansRun) {
  const CommandLine line = must_parse({});
  EXPECT_EQ(line.mode, Mode::Run);
  EXPECT_EQ(line.load.path, "");
  EXPECT_FALSE(line.quiet);
}

TEST(CommandLine, AnotherMasterAsksInWords) {
  EXPECT_EQ(must_parse({"--handover-version"}).mode, Mode::HandoverVersion);
  EXPECT_EQ(must_parse({"--handover-rehearsal"}).mode, Mode::HandoverRehearsal);
  EXPECT_EQ(must_parse({"-h", "--handover-version"}).mode, Mode::Help);
  EXPECT_NE(error_of({"--handover"}), "");
  EXPECT_NE(error_of({"--handover-version=1"}), "");
  EXPECT_EQ(usage().find("handover"), std::string_view::npos);
}

TEST(CommandLine, ValuesStandApartOrTogether) {
  CommandLine line = must_parse({"-c", "a.conf", "-p", "/srv", "-g", "daemon off;"});
  EXPECT_EQ(line.load.path, "a.conf");
  EXPECT_EQ(line.load.prefix, "/srv");
  EXPECT_EQ(line.load.global_directives, "daemon off;");
  line = must_parse({"-ca.conf", "-tq"});
  EXPECT_EQ(line.load.path, "a.conf");
  EXPECT_EQ(line.mode, Mode::Test);
  EXPECT_TRUE(line.quiet);
  line = must_parse({"-tc", "a.conf"});
  EXPECT_EQ(line.load.path, "a.conf");
  EXPECT_EQ(line.mode, Mode::Test);
}

TEST(CommandLine, Modes) {
  EXPECT_EQ(must_parse({"--help"}).mode, Mode::Help);
  EXPECT_EQ(must_parse({"--version"}).mode, Mode::Version);
  EXPECT_EQ(must_parse({"-t"}).mode, Mode::Test);
  EXPECT_EQ(must_parse({"-T"}).mode, Mode::TestAndDump);
  EXPECT_EQ(must_parse({"-v"}).mode, Mode::Version);
  EXPECT_EQ(must_parse({"-V"}).mode, Mode::VersionDetails);
  EXPECT_EQ(must_parse({"-h"}).mode, Mode::Help);
  EXPECT_EQ(must_parse({"-?"}).mode, Mode::Help);
}

TEST(CommandLine, Signals) {
  using Signal = CommandLine::Signal;
  const std::pair<const char*, Signal> known[] = {{"stop", Signal::Stop},
                                                  {"quit", Signal::Quit},
                                                  {"reload", Signal::Reload},
                                                  {"reopen", Signal::Reopen},
                                                  {"upgrade", Signal::Upgrade}};
  for (const auto& [name, signal] : known) {
    const CommandLine line = must_parse({"-s", name});
    EXPECT_EQ(line.mode, Mode::Signal);
    EXPECT_EQ(line.signal, signal);
  }
  EXPECT_EQ(error_of({"-s", "halt"}),
            "invalid option: \"-s halt\", expected stop, quit, reload, reopen or upgrade");
}

TEST(CommandLine, TheMostHarmlessModeWins) {
  EXPECT_EQ(must_parse({"-s", "stop", "-t"}).mode, Mode::Test);
  EXPECT_EQ(must_parse({"-t", "-s", "stop"}).mode, Mode::Test);
  EXPECT_EQ(must_parse({"-h", "-T", "-s", "stop"}).mode, Mode::Help);
}

TEST(CommandLine, RefusesWhatItDoesNotKnow) {
  EXPECT_EQ(error_of({"stop"}), "invalid option: \"stop\"");
  EXPECT_EQ(error_of({"-"}), "invalid option: \"-\"");
  EXPECT_EQ(error_of({""}), "invalid option: \"\"");
  EXPECT_EQ(error_of({"-x"}), "invalid option: \"x\"");
  EXPECT_EQ(error_of({"-tz"}), "invalid option: \"z\"");
  EXPECT_EQ(error_of({"--helpful"}), "invalid option: \"--helpful\"");
}

TEST(CommandLine, SaysWhichValueIsMissing) {
  EXPECT_EQ(error_of({"-c"}), "option \"-c\" requires a file name");
  EXPECT_EQ(error_of({"-p"}), "option \"-p\" requires a directory name");
  EXPECT_EQ(error_of({"-g", ""}), "option \"-g\" requires directives");
  EXPECT_EQ(error_of({"-s"}), "option \"-s\" requires a signal name");
}

TEST(CommandLine, UsageNamesEveryOption) {
  for (const char* option : {"-h", "-v", "-V", "-t", "-T", "-q", "-s", "-p", "-c", "-g"}) {
    EXPECT_NE(usage().find(option), std::string_view::npos) << option;
  }
}

}  // namespace
}  // namespace beamgate::config
