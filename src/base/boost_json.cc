// Boost.JSON is header-only here and compiled in this one file.
#include <boost/json/src.hpp>
