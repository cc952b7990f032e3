// The activations: the value y at x, and the gradient of x from the gradient of y. alpha is the parameter of some of them.
#pragma once
#include "vector_math.h"

struct NoActivation {
    static Vec value(Vec x, float) { return x; }
    static Vec backward(Vec grad, Vec, Vec, float) { return grad; }
};

// ReLU is the case alpha = 0. Its gradient only needs y, and a y that dropout has set to zero is as good.
struct LeakyRelu {
    static Vec value(Vec x, float alpha) { return leaky_relu(x, alpha); }
    static Vec backward(Vec grad, Vec, Vec y, float alpha) { return leaky_relu_backward(grad, y, alpha); }
};

// As leaky ReLU, but alpha can have any sign, so that y does not tell the sign of x.
struct PRelu {
    static Vec value(Vec x, float alpha) { return x > 0 ? x : x * alpha; }
    static Vec backward(Vec grad, Vec x, Vec, float alpha) { return x > 0 ? grad : grad * alpha; }
    static Vec alpha_grad(Vec grad, Vec x) { return x > 0 ? Vec{} : grad * x; }
};

struct Elu {
    static Vec value(Vec x, float alpha) { return x > 0 ? x : expm1(x) * alpha; }
    static Vec backward(Vec grad, Vec x, Vec y, float alpha) { return x > 0 ? grad : grad * (y + alpha); }
};

struct Relu6 {
    static Vec value(Vec x, float) { return clamp(x, 0, 6); }
    static Vec backward(Vec grad, Vec x, Vec, float) { return ((x <= 0) | (x >= 6)) ? Vec{} : grad; }
};

struct Gelu {
    static Vec value(Vec x, float) { return x * normal_distribution(x).probability; }
    static Vec backward(Vec grad, Vec x, Vec, float) {
        const Normal normal = normal_distribution(x);
        return grad * (normal.probability + x * normal.density);
    }
};

struct Silu {
    static Vec value(Vec x, float) { return x * sigmoid(x); }
    static Vec backward(Vec grad, Vec x, Vec, float) {
        const Vec s = sigmoid(x);
        return grad * s * (x * (1.0f - s) + 1.0f);
    }
};

// x * tanh(log(1 + e)) with e = exp(x). The tanh is n / (n + 2) with n = e * (e + 2). Above 20 it is 1.
struct Mish {
    static Vec value(Vec x, float) {
        const Vec e = exp(x > 20 ? broadcast(20) : x), n = e * (e + 2.0f);
        return x * (n / (n + 2.0f));
    }
    static Vec backward(Vec grad, Vec x, Vec, float) {
        const Vec e = exp(x > 20 ? broadcast(20) : x), n = e * (e + 2.0f), inverse = 1.0f / (n + 2.0f);
        return grad * inverse * (n + x * (e * (e + 1.0f) * 4.0f * inverse));
    }
};

struct Hardswish {
    static Vec value(Vec x, float) { return x * clamp(x + 3.0f, 0, 6) * (1.0f / 6); }
    static Vec backward(Vec grad, Vec x, Vec, float) {
        const Vec inside = grad * (x * (1.0f / 3) + 0.5f), above = x < 3 ? inside : grad;
        return x <= -3 ? Vec{} : above;
    }
};

struct Softplus {
    static Vec value(Vec x, float) { return (x > 0 ? x : Vec{}) + log1p(exp(-abs(x))); }
    static Vec backward(Vec grad, Vec x, Vec, float) { return grad * sigmoid(x); }
};

struct Tanh {
    static Vec value(Vec x, float) {
        const Vec e = expm1(abs(x) * -2.0f), size = -e / (e + 2.0f);
        return x < 0 ? -size : size;
    }
    static Vec backward(Vec grad, Vec, Vec y, float) { return grad * (1.0f - y * y); }
};

struct Sigmoid {
    static Vec value(Vec x, float) { return sigmoid(x); }
    static Vec backward(Vec grad, Vec, Vec y, float) { return grad * y * (1.0f - y); }
};
