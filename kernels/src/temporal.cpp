#include "temporal.hpp"
