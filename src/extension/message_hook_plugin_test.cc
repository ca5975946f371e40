#include "extension/message_hook_plugin.h"

#include <gtest/gtest.h>

namespace heddle::extension {
namespace {

TEST(HookFailureTest, AMessageGoesOnUnlessTheEntrySaysOtherwise) {
  PluginSpec spec;
  spec.name = "greeter";
  EXPECT_TRUE(hook_failure(spec).verdict.allowed);
  spec.on_failure_given = true;
  for (const FailurePolicy policy : {FailurePolicy::kClosed, FailurePolicy::kReload}) {
    spec.on_failure = policy;
    EXPECT_FALSE(hook_failure(spec).verdict.allowed);
    EXPECT_EQ(hook_failure(spec).verdict.plugin, "greeter");
  }
  spec.on_failure = FailurePolicy::kOpen;
  EXPECT_TRUE(hook_failure(spec).verdict.allowed);
}

}  // namespace
}  // namespace heddle::extension
