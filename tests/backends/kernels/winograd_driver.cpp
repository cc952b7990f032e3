// The errors of Winograd's products and of the direct products, against sums in double. One line for each convolution:
// inputs, outputs, side of the output, zeros around the input, whether Winograd is chosen for the three products, and the largest
// error of each, as a part of the largest value: forward direct and Winograd, gradient of the weights direct and Winograd.
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

#include "convolution.h"

namespace {

struct Values {
    std::vector<Vec> vectors;
    explicit Values(long size) : vectors(size) {}
    void draw(std::mt19937& random) {
        std::normal_distribution<float> normal;
        for (Vec& v : vectors)
            for (int lane = 0; lane < LANES; lane++) v[lane] = normal(random);
    }
};

// The largest difference from the truth, as a part of the largest true value.
struct Error {
    double difference = 0, largest = 0;
    void add(double value, double truth) {
        difference = std::isfinite(value) ? std::max(difference, std::abs(value - truth)) : INFINITY;
        largest = std::max(largest, std::abs(truth));
    }
    double relative() const { return difference / largest; }
};

Op convolution(int inputs, int outputs, int height, int width, int padding) {
    Op op{};
    op.kind = CONVOLUTION, op.channels = inputs, op.out_channels = outputs, op.height = height, op.width = width;
    op.kernel = 3, op.stride = op.dilation = op.groups = 1, op.padding = padding;
    op.out_height = height + 2 * padding - 2, op.out_width = width + 2 * padding - 2;
    return op;
}

void compare(int inputs, int outputs, int rows, int columns, int zeros, std::mt19937& random) {
    const Op op = convolution(inputs, outputs, rows + 2, columns + 2, 0);
    const Convolution chosen(op);
    // The rows and columns of zeros around the input are those of a padding, or of the gradient in the product for the input.
    TiledProduct direct = chosen.forward_product.direct;
    direct.zeros_above = zeros, direct.map_height = op.height - 2 * zeros;
    const WinogradProduct winograd(direct, inputs, op.area());
    const WinogradWeightGrad winograd_grad(inputs, outputs, rows, columns);

    std::uniform_real_distribution<float> uniform(-0.3f, 0.3f);
    std::vector<float> weights(chosen.size()), bias(outputs);
    for (float& w : weights) w = uniform(random);
    for (float& b : bias) b = uniform(random);
    const auto weight = [&](int k, int c, int y, int x) { return weights[((k * inputs + c) * 3 + y) * 3 + x]; };
    Values in((long)inputs * op.area()), grad((long)outputs * op.out_area());
    in.draw(random), grad.draw(random);
    for (int c = 0; c < inputs; c++)
        for (int y = 0; y < op.height; y++)
            for (int x = 0; x < op.width; x++)
                if (std::min({y, x, op.height - 1 - y, op.width - 1 - x}) < zeros) in.vectors[c * op.area() + y * op.width + x] = Vec{};

    std::vector<float> packed(direct.packed_size()), winograd_packed(winograd.packed_size());
    direct.pack(packed.data(), weight), winograd.pack(winograd_packed.data(), weight);
    // The buffer begins with values that are not numbers: none of them may be used.
    std::vector<Vec> buffer(std::max(winograd.buffer_size(), winograd_grad.buffer_size()), broadcast(NAN));
    Values out(op.out_channels * (long)op.out_area()), winograd_out(out.vectors.size());
    direct.run(in.vectors.data(), packed.data(), bias.data(), out.vectors.data(), true, 0.1f);
    winograd.run(in.vectors.data(), winograd_packed.data(), bias.data(), winograd_out.vectors.data(), true, 0.1f, buffer.data());

    Convolution direct_convolution(op);
    direct_convolution.winograd_weight_grad.reset();
    Workspace workspace;
    direct_convolution.reserve(workspace);
    std::vector<float> weight_grad(chosen.size()), winograd_weight_grad(chosen.size());
    Values grad_copy = grad;
    direct_convolution.backward(in.vectors.data(), nullptr, grad_copy.vectors.data(), nullptr, weight_grad.data(), nullptr, nullptr, workspace);
    std::fill(buffer.begin(), buffer.end(), broadcast(NAN));
    winograd_grad.run(in.vectors.data(), op.width, op.area(), grad.vectors.data(), op.out_width, op.out_area(),
                      winograd_weight_grad.data(), buffer.data());

    Error forward, winograd_forward, gradient, winograd_gradient;
    std::vector<double> true_grad(chosen.size());
    for (int lane = 0; lane < LANES; lane++)
        for (int k = 0; k < outputs; k++)
            for (int y = 0; y < rows; y++)
                for (int x = 0; x < columns; x++) {
                    double sum = bias[k];
                    const long at = ((long)k * rows + y) * columns + x;
                    for (int c = 0; c < inputs; c++)
                        for (int i = 0; i < 9; i++) {
                            const double value = in.vectors[c * op.area() + (y + i / 3) * op.width + x + i % 3][lane];
                            sum += value * weight(k, c, i / 3, i % 3);
                            true_grad[(k * inputs + c) * 9 + i] += value * grad.vectors[at][lane];
                        }
                    const double truth = sum < 0 ? 0.1f * sum : sum;
                    forward.add(out.vectors[at][lane], truth), winograd_forward.add(winograd_out.vectors[at][lane], truth);
                }
    for (long i = 0; i < chosen.size(); i++)
        gradient.add(weight_grad[i], true_grad[i]), winograd_gradient.add(winograd_weight_grad[i], true_grad[i]);
    std::printf("%d %d %d %d %d  %d %d %d  %.3g %.3g %.3g %.3g\n", inputs, outputs, rows, columns, zeros,
                chosen.forward_product.winograd.has_value(), chosen.backward_product.winograd.has_value(),
                chosen.winograd_weight_grad.has_value(), forward.relative(), winograd_forward.relative(), gradient.relative(),
                winograd_gradient.relative());
}

}  // namespace

int main() {
    std::mt19937 random(1);
    for (int columns = 4; columns <= 13; columns++)
        for (int zeros = 0; zeros <= 2; zeros++)
            compare(1 + columns * 5 % 7, 1 + columns * 3 % 11, 3 + columns % 5, columns, zeros, random);
    compare(10, 16, 24, 24, 0, random);  // salvation's largest layer
    compare(16, 10, 26, 26, 2, random);  // and the gradient of its input
    compare(1, 10, 26, 26, 0, random);
    compare(16, 16, 2, 4, 0, random);
    compare(24, 24, 28, 28, 1, random);  // several bands of rows
}
